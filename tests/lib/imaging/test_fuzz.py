"""Mutated files of every format: each ends in a finite, plausible Volume or in a HeadCTError, never in anything else.

A few hundred cases run by default, the same ones each time; `-m slow` runs 20,000 new ones. Files whose pixels GDCM decodes
need a process each and are fewer; RLE, which is decoded by Python, calls the decoder's inner function.
"""

from __future__ import annotations

import functools
import gzip
import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from headct_molre.errors import HeadCTError
from headct_molre.imaging import decoder
from headct_molre.imaging.limits import MAX_VOLUME_BYTES
from headct_molre.imaging.read import read_study
from hostile_files import MHA, NRRD, nifti_header
from imaging_files import ct_slice, enhanced_ct, recode

LONG_FORMS = {"OB", "OW", "OF", "SQ", "UN", "UT", "UC", "UR", "OD", "OL", "OV"}
# Of computing: on a busy machine a case may wait for longer.
SECONDS = 5.0
COMPRESSIONS = {"rle": "RLELossless", "jpeg": "JPEGLosslessProcess14_1", "jpegls": "JPEGLSLossless", "jpeg2000": "JPEG2000Lossless"}
nasty = st.one_of(
    st.binary(max_size=24),
    st.sampled_from([b"", b"0", b"-1", b"1e308", b"1e-308", b"nan", b"-inf", b"1\\2", b"0\\0", b"1\\0\\0\\0\\1\\0", b"99999999999", b"CT"]),
    st.sampled_from([b"HU", b"MR", b"30000", b"2", b"0.5", b"1e5\\-1e5\\1e5", b"MONOCHROME1", b"\\\\\\", b"\xff" * 8, bytes(2), bytes(8)]),
    st.integers(0, 65535).map(lambda number: struct.pack("<H", number)),
    st.floats(width=64).map(lambda number: f"{number:.10g}".encode()),
)
lies = st.sampled_from([0] * 12 + [-2, -1, 1, 2, 1000, 60_000, 2**31, 2**32 - 1])


def is_read(path: Path) -> bool:
    """Reads a study and holds what comes of it to the promise of this file; False where it was refused."""
    started = time.process_time()
    try:
        volume = read_study(path)
    except HeadCTError:
        return False
    finally:
        assert time.process_time() - started < SECONDS
    assert volume.hu.dtype in (np.int16, np.float32)
    assert volume.hu.nbytes <= MAX_VOLUME_BYTES
    assert np.isfinite(volume.hu).all()
    assert volume.hu.min() >= -1024.01
    assert volume.hu.max() <= 32767
    assert np.isfinite(volume.affine).all()
    assert abs(np.linalg.det(volume.affine[:3, :3])) > 0
    assert all(value is None or np.isfinite(value) for value in volume.facts.values() if not isinstance(value, str))
    return True


def mutated(data: st.DataObject, whole: bytes, first: int = 0, last: int | None = None) -> bytes:
    """One to four bytes between `first` and `last` replaced; one time in ten something is cut out, or all from there on."""
    changed = bytearray(whole)
    places = st.integers(first, (len(whole) if last is None else last) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(places)] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 9)) == 9:
        at = data.draw(places)
        del changed[at : at + data.draw(st.sampled_from([1, 2, 4, 8, len(whole)]))]
    return bytes(changed)


@functools.cache
def elements(whole: bytes) -> tuple[bytes, list[tuple[int, str, bytes]]]:
    """What stands before the data set of a DICOM file, and its elements: tag, VR, value."""
    dataset = dcmread(io.BytesIO(whole))
    raw = [dataset.get_item(tag) for tag in dataset.keys()]  # noqa: SIM118 - a data set iterates over its elements
    first = whole.index(struct.pack("<HH", raw[0].tag.group, raw[0].tag.element), 132)
    return whole[:first], [(int(item.tag), item.VR, item.value or b"") for item in raw]


def own_elements(whole: bytes) -> list[bytes]:
    """SOPInstanceUID, ImagePositionPatient and PixelData of a DICOM file as they are encoded there: what differs between slices."""
    return [encoded(*item, 0) for item in elements(whole)[1] if item[0] in (0x00080018, 0x00200032, 0x7FE00010)]


def pixels_at(whole: bytes) -> int:
    return whole.index(struct.pack("<HH", 0x7FE0, 0x0010))


def encoded(tag: int, vr: str, value: bytes, lie: int) -> bytes:
    value += b" " * (len(value) % 2)
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    length = (len(value) + lie) & 0xFFFFFFFF
    return start + (b"\0\0" + struct.pack("<L", length) if vr in LONG_FORMS else struct.pack("<H", length & 0xFFFF)) + value


def retagged(data: st.DataObject, start: bytes, items: list[tuple[int, str, bytes]]) -> bytes:
    """One to three elements with another value, another length or none at all."""
    changed = [encoded(*item, 0) for item in items]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(items) - 1))
        tag, vr, _ = items[index]
        changed[index] = data.draw(st.one_of(st.just(b""), st.builds(encoded, st.just(tag), st.just(vr), nasty, lies)))
    return start + b"".join(changed)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    """One good file of each format."""
    folder = tmp_path_factory.mktemp("originals")
    path = folder / "x.dcm"
    found = {}
    for name, syntax in COMPRESSIONS.items():
        for k in range(3):
            ct_slice((0, 0, 5.0 * k)).save_as(path, enforce_file_format=True)
            found[f"plain {k}"] = path.read_bytes()
            recode(path, getattr(gdcm.TransferSyntax, syntax))
            found[f"{name} {k}"] = path.read_bytes()
    enhanced_ct(np.zeros((4, 8, 9), dtype=np.int16), [(0, 0, 5.0 * k) for k in range(4)]).save_as(path, enforce_file_format=True)
    found["enhanced"] = path.read_bytes()
    voxels = np.random.default_rng(0).integers(-1000, 1500, 6 * 7 * 8).astype("<i2").tobytes()
    found["nifti"] = nifti_header((6, 7, 8)) + voxels
    floats = np.full(6 * 7 * 8, np.float32(1.9)).astype("<f4").tobytes()
    found["nifti float"] = nifti_header((6, 7, 8), np.float32) + floats
    found["nrrd"] = NRRD.format(sizes="6 7 8", encoding="raw").encode() + voxels
    found["nrrd gzip"] = NRRD.format(sizes="6 7 8", encoding="gzip").encode() + gzip.compress(voxels)
    found["mha"] = MHA.format(sizes="6 7 8", packed="False", data="LOCAL").encode() + voxels
    found["mha packed"] = MHA.format(sizes="6 7 8", packed="True", data="LOCAL").encode() + zlib.compress(voxels)
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(3):
            ct_slice((0, 0, 5.0 * k)).save_as(path, enforce_file_format=True)
            archive.writestr(f"study/{k}.dcm", path.read_bytes())
    found["zip"] = (folder / "x.zip").read_bytes()
    return found


def dicom_bytes(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    for k in range(3):
        (folder / f"{k}.dcm").write_bytes(originals[f"plain {k}"])
    whole = originals["plain 1"]
    # The pixels are half of the file, and no news.
    (folder / "1.dcm").write_bytes(mutated(data, whole, first=132, last=pixels_at(whole) + 12))
    is_read(folder)


def dicom_tags(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    """The same change in one slice, or in all, so that they still agree with each other."""
    victims = data.draw(st.sampled_from([[1], [0, 1, 2]]))
    changed = retagged(data, *elements(originals["plain 1"]))
    own = {k: own_elements(originals[f"plain {k}"]) for k in range(3)}
    for k in range(3):
        whole = originals[f"plain {k}"]
        if k in victims:
            whole = changed
            for old, new in zip(own[1], own[k], strict=True):
                whole = whole.replace(old, new)
        (folder / f"{k}.dcm").write_bytes(whole)
    is_read(folder)


def enhanced(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    path, whole = folder / "x.dcm", originals["enhanced"]
    if data.draw(st.booleans()):
        path.write_bytes(retagged(data, *elements(whole)))
    else:
        path.write_bytes(mutated(data, whole, first=132, last=pixels_at(whole) + 12))
    is_read(path)


def compressed(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    """With GDCM in its own process."""
    name = data.draw(st.sampled_from(["jpeg", "jpegls", "jpeg2000"]))
    for k in range(3):
        (folder / f"{k}.dcm").write_bytes(originals[f"{name} {k}"])
    whole = originals[f"{name} 1"]
    first = pixels_at(whole) if data.draw(st.booleans()) else 132
    (folder / "1.dcm").write_bytes(mutated(data, whole, first))
    is_read(folder)


def rle(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    """The decoder's inner function: whatever it raises becomes a refusal in the process around it."""
    path, whole = folder / "x.dcm", originals["rle 1"]
    path.write_bytes(mutated(data, whole, first=pixels_at(whole)))
    frame = {"path": str(path), "frame": 0, "rows": 16, "columns": 20, "dtype": "<i2"}
    started = time.process_time()
    try:
        decoder.decode([frame], str(folder / "x.npy"))
    except MemoryError:
        raise
    except Exception:
        return
    finally:
        assert time.process_time() - started < SECONDS
    assert np.load(folder / "x.npy", allow_pickle=False).shape == (1, 16, 20)


def stream_sizes(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    """What stands between GDCM and an image of another size than the header's."""
    stream = data.draw(st.one_of(st.binary(max_size=60), st.builds(bytes.__add__, st.sampled_from(STREAM_STARTS), st.binary(max_size=60))))
    try:
        decoder.check_matrix(stream, 16, 20)
    except (ValueError, struct.error):
        return


def nifti(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    name = data.draw(st.sampled_from(["nifti", "nifti float"]))
    whole = bytearray(originals[name])
    if data.draw(st.booleans()):
        for name, kind in NIFTI_FIELDS.items():
            if data.draw(st.integers(0, 9)) == 0:
                at = NIFTI_AT[name]
                value = data.draw(st.floats(width=32) if kind == "f" else st.sampled_from([0, 1, 2, 3, 4, 5, 8, 16, 64, 512, 32767]))
                whole[at : at + struct.calcsize(kind)] = struct.pack("<" + kind, value)
        changed = bytes(whole)
    else:
        # Among floating point numbers a changed byte makes infinities and not-numbers.
        changed = mutated(data, bytes(whole), last=360 if name == "nifti" else None)
    if data.draw(st.booleans()):
        changed = gzip.compress(changed, 1)
        changed = mutated(data, changed) if data.draw(st.booleans()) else changed
    path = folder / "x.nii"
    path.write_bytes(changed)
    is_read(path)


def words(data: st.DataObject, whole: bytes) -> bytes:
    """A text header with a few words replaced, each by what another writer might say."""
    end = whole.index(b"\n\n") if b"\n\n" in whole[:600] else whole.index(b"LOCAL")
    parts = whole[:end].replace(b"\n", b" \n ").split(b" ")
    for _ in range(data.draw(st.integers(1, 3))):
        parts[data.draw(st.integers(0, len(parts) - 1))] = data.draw(st.one_of(nasty, st.sampled_from(WORDS)))
    return b" ".join(parts).replace(b" \n ", b"\n") + whole[end:]


def nrrd(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    whole = originals[data.draw(st.sampled_from(["nrrd", "nrrd gzip"]))]
    path = folder / "x.nrrd"
    path.write_bytes(words(data, whole) if data.draw(st.booleans()) else mutated(data, whole, last=min(400, len(whole))))
    is_read(path)


def metaimage(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    whole = originals[data.draw(st.sampled_from(["mha", "mha packed"]))]
    path = folder / "x.mha"
    path.write_bytes(words(data, whole) if data.draw(st.booleans()) else mutated(data, whole, last=min(400, len(whole))))
    is_read(path)


def archive(data: st.DataObject, folder: Path, originals: dict[str, bytes]) -> None:
    path, whole = folder / "x.zip", originals["zip"]
    # The list of contents at the end is where a zip lies.
    path.write_bytes(mutated(data, whole, first=data.draw(st.sampled_from([0, whole.index(b"PK\x01\x02")]))))
    is_read(path)


STREAM_STARTS = [b"\xff\xd8\xff\xc3", b"\xff\xd8\xff\xf7\x00\x0b\x10", b"\xff\x4f\xff\x51\x00\x29", b"\xff\xd8" + b"\xff" * 20]
WORDS = [
    b"raw",
    b"gzip",
    b"bzip2",
    b"float",
    b"uchar",
    b"MET_DOUBLE",
    b"MET_UCHAR",
    b"big",
    b"RAS",
    b"none",
    b"True",
    b"1e-30",
    b"(1,0,0)",
    b"LIST",
]
NIFTI_FIELDS = {
    "sizeof_hdr": "i", "dim0": "h", "dim1": "h", "dim2": "h", "dim3": "h", "dim4": "h", "datatype": "h", "bitpix": "h", "pixdim0": "f",
    "pixdim1": "f", "pixdim3": "f", "vox_offset": "f", "scl_slope": "f", "scl_inter": "f", "xyzt_units": "H", "qform_code": "h",
    "sform_code": "h", "quatern_b": "f", "srow_x0": "f", "srow_y1": "f", "srow_z3": "f",
}  # fmt: skip
NIFTI_AT = dict(
    zip(NIFTI_FIELDS, (0, 40, 42, 44, 46, 48, 70, 72, 76, 80, 88, 108, 112, 116, 123, 252, 254, 256, 280, 300, 324), strict=True)
)
# (cases by default, cases of the slow run)
CASES: dict[Callable, tuple[int, int]] = {
    dicom_bytes: (60, 3500),
    dicom_tags: (60, 3500),
    enhanced: (40, 2500),
    compressed: (4, 300),
    rle: (30, 1000),
    stream_sizes: (50, 1000),
    nifti: (60, 3200),
    nrrd: (40, 1800),
    metaimage: (40, 1800),
    archive: (40, 1400),
}


def run(case: Callable, count: int, folder: Path, originals: dict[str, bytes], derandomize: bool) -> None:
    @settings(
        max_examples=count, derandomize=derandomize, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def body(data: st.DataObject) -> None:
        case(data, folder, originals)

    body()


def test_before_they_are_mutated_all_files_are_read(tmp_path, originals):
    for name, content in originals.items():
        suffix = {"nifti": ".nii", "nrrd": ".nrrd", "mha": ".mha", "zip": ".zip"}.get(name.split()[0], ".dcm")
        (tmp_path / name.split()[0]).mkdir(exist_ok=True)
        (tmp_path / name.split()[0] / f"{name}{suffix}").write_bytes(content)
        if suffix != ".dcm":
            assert is_read(tmp_path / name.split()[0] / f"{name}{suffix}"), name
    assert all(is_read(tmp_path / name) for name in ("plain", "enhanced", *COMPRESSIONS))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_same_few_mutations_each_time(tmp_path, originals, case):
    run(case, CASES[case][0], tmp_path, originals, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_twenty_thousand_new_mutations(tmp_path, originals, case):
    run(case, CASES[case][1], tmp_path, originals, derandomize=False)
