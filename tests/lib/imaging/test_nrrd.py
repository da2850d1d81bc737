"""NRRD: any space and sheared directions keep their positions; what is not in the file is refused."""

from __future__ import annotations

import nrrd
import numpy as np
import pytest

from headct_molre.imaging.read import read_study
from imaging_files import brightest_ras, marked, refusal


@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (-1, -1, 1)), ("right-anterior-superior", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1))],
)
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_spaces_and_sheared_directions_keep_their_positions(tmp_path, space, signs, encoding):
    directions = np.array([[0.9, 0, 0], [0, 0.8, -0.2], [0, 0.5, 4.0]])
    header = {"space": space, "space directions": directions, "space origin": [10, -20, 30], "encoding": encoding}
    nrrd.write(str(tmp_path / "head.nrrd"), marked((9, 11, 13), (2, 8, 3)), header)
    expected = np.array(signs) * (np.array([2, 8, 3]) @ directions + [10, -20, 30])
    assert brightest_ras(read_study(tmp_path / "head.nrrd")) == pytest.approx(expected)


def test_nrrd_without_space_truncated_or_pointing_elsewhere_is_refused(tmp_path):
    path = tmp_path / "head.nrrd"
    nrrd.write(str(path), marked((9, 11, 13), (2, 8, 3)))
    assert refusal(path).code == "missing_geometry"
    header = {"space": "LPS", "space directions": np.eye(3), "space origin": [0, 0, 0]}
    nrrd.write(str(path), marked((9, 11, 13), (2, 8, 3)), {**header, "encoding": "raw"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert refusal(path).code == "damaged_file"
    path.write_bytes(whole.replace(b"encoding: raw", b"data file: /etc/passwd\nencoding: raw"))
    assert refusal(path).code == "unsupported_format"
