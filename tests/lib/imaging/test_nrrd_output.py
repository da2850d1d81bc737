"""A volume as NRRD: what the reader gets back is what was written."""

import numpy as np
import pytest

from headct_molre.imaging.nrrd_file import read_nrrd
from headct_molre.imaging.nrrd_output import nrrd_bytes
from headct_molre.imaging.volume import Volume

TILTED = np.array([[0.0, 0.02, 0.5, -120.0], [-0.9, -0.49, 0.0, 130.5], [4.9, -0.03, 0.0, -70.25], [0, 0, 0, 1]])


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_voxels_and_a_sheared_geometry_come_back(tmp_path, kind):
    hu = np.random.default_rng(5).integers(-1000, 2000, (14, 33, 31)).astype(kind)
    file = tmp_path / "volume.nrrd"
    file.write_bytes(nrrd_bytes(Volume(hu, TILTED)))
    once = read_nrrd(file)  # it may turn axes round, and the affine with them
    file.write_bytes(nrrd_bytes(once))
    twice = read_nrrd(file)
    np.testing.assert_array_equal(twice.hu, once.hu)
    np.testing.assert_allclose(twice.affine, once.affine, atol=1e-9)
    for index in np.random.default_rng(6).integers(0, 14, (20, 3)):
        there = np.linalg.solve(once.affine[:3, :3], Volume(hu, TILTED).to_ras(index) - once.affine[:3, 3])
        assert once.hu[tuple(np.round(there).astype(int))] == hu[tuple(index)]


def test_the_same_volume_makes_the_same_bytes():
    volume = Volume(np.zeros((3, 4, 5), np.int16), np.eye(4))
    assert nrrd_bytes(volume) == nrrd_bytes(volume)
