"""Volumes between the scene and the server: the server reads what is sent, and what it sends comes back as it was."""

import re
import threading

import numpy as np
import pytest

from headct_molre.imaging.nrrd_file import read_nrrd
from headct_molre.imaging.nrrd_output import nrrd_bytes
from headct_molre.imaging.volume import Volume
from HeadCTFindingsLib.app.volume_file import VolumeData, from_nrrd, study_id_of, to_nrrd
from HeadCTFindingsLib.core.errors import Cancelled, NotReadable
from HeadCTFindingsLib.core.worker import Worker

# Columns run to the left, rows to the back, slices up and, as with a tilted gantry, to the back too.
TILTED = np.array([[-0.5, 0.0, 0.0, 120.0], [0.0, -0.5, -1.2, 130.0], [0.0, 0.1, 4.8, -70.0], [0, 0, 0, 1]])


def volume(kind=np.int16, matrix=TILTED):
    return VolumeData(np.random.default_rng(3).integers(-1000, 2000, (9, 20, 31)).astype(kind), matrix)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_the_server_reads_what_is_sent(tmp_path, kind):
    sent = volume(kind)
    (tmp_path / "study.nrrd").write_bytes(to_nrrd(sent))
    read = read_nrrd(tmp_path / "study.nrrd")
    for column, row, slice_ in np.random.default_rng(4).integers(0, 9, (20, 3)):
        ras = sent.ijk_to_ras @ [column, row, slice_, 1]
        index = np.linalg.solve(read.affine, ras)[:3].round().astype(int)
        assert read.hu[tuple(index)] == sent.voxels[slice_, row, column]


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_what_the_server_sends_comes_back_and_can_be_written_to(kind):
    hu = volume(kind).voxels
    affine = TILTED[:, [2, 1, 0, 3]]  # the server counts slices, rows, columns
    got = from_nrrd(nrrd_bytes(Volume(hu, affine)))
    np.testing.assert_array_equal(got.voxels, hu)
    np.testing.assert_allclose(got.ijk_to_ras, TILTED)
    assert got.voxels.flags.writeable, "VTK takes the memory over"


def test_only_voxels_and_geometry_are_sent():
    header = to_nrrd(volume()).partition(b"\n\n")[0].decode()
    fields = {line.split(": ")[0] for line in header.splitlines()[1:]}
    assert fields == {"type", "dimension", "space", "sizes", "space directions", "space origin", "endian", "encoding"}


def test_an_id_comes_from_the_content_alone():
    assert study_id_of(volume()) == study_id_of(volume())
    assert re.fullmatch(r"slicer-[0-9a-f]{16}", study_id_of(volume()))
    moved = TILTED.copy()
    moved[0, 3] += 1
    assert study_id_of(volume(matrix=moved)) != study_id_of(volume())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"<html>a login page</html>",
        lambda content: content[:-200],
        lambda content: content.replace(b"right-anterior-superior", b"scanner-xyz"),
        lambda content: content.replace(b"space origin", b"origin of space"),
        lambda content: content.replace(b"type: int16", b"type: block"),
        lambda content: content[: content.index(b"\n\n") + 2] + b"no gzip at all" * 20,
    ],
)
def test_an_answer_that_is_no_volume_is_named(damage):
    with pytest.raises(NotReadable):
        from_nrrd(damage(nrrd_bytes(Volume(volume().voxels, TILTED))))


def test_a_colour_volume_is_not_sent():
    with pytest.raises(NotReadable, match="3D volume"):
        to_nrrd(VolumeData(np.zeros((2, 3, 4, 3), np.uint8), np.eye(4)))


def test_reading_stops_where_it_was_cancelled():
    worker, running, cancelled, ended = Worker(), threading.Event(), threading.Event(), []
    content = nrrd_bytes(Volume(volume().voxels, TILTED))

    def work(ticket):
        running.set()
        cancelled.wait(5)
        try:
            from_nrrd(content, ticket)
        except Cancelled:
            ended.append("cancelled")
            raise

    ticket = worker.submit(work)
    running.wait(5)
    ticket.cancel()
    cancelled.set()
    worker.stop()
    assert ended == ["cancelled"]
