"""A volume grid beside the slice grid: always the same shape, geometry right, air where nothing was scanned, kept apart in the cache."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.imaging.grid import SLICE_GRID
from headct_molre.imaging.pipeline import PreparedStudy
from headct_molre.imaging.prepare import OUTSIDE_HU, prepare
from headct_molre.imaging.volume import Volume
from headct_molre.models.backbones.pillar0_headct import GRID
from headct_molre.schema import Quality

POINT = np.array([31.0, 22.0, -14.0])
CENTRE = np.array([3.0, -4.0, 2.0])
RADIUS = 70.0


@pytest.fixture(scope="module")
def scan():
    """A water ball of 140 mm with a bright point, scanned in slices of 2.5 mm with a tilt of 11 degrees."""
    slices, matrix, pixel, step = 54, 128, 1.9, 2.5
    shift = np.tan(np.radians(11.0)) * step
    affine = np.array([[0, 0, -pixel, 121.0], [shift, -pixel, 0, 117.0 - shift * slices / 2], [step, 0, 0, -65.0], [0, 0, 0, 1]])
    volume = Volume(np.full((slices, matrix, matrix), OUTSIDE_HU, np.float32), affine)
    ras = volume.to_ras(np.stack(np.meshgrid(*(np.arange(n) for n in volume.hu.shape), indexing="ij"), -1))
    volume.hu[np.linalg.norm(ras - CENTRE, axis=-1) < RADIUS] = 30
    volume.hu[:] = np.maximum(volume.hu, 3000 * np.exp(-((np.linalg.norm(ras - POINT, axis=-1) / 4) ** 2)))
    return volume


@pytest.fixture(scope="module")
def standard_from_ras():
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (12, -7, 9), degrees=True).as_matrix()
    matrix[:3, 3] = (6, -5, 8)
    return matrix


@pytest.fixture(scope="module")
def prepared(scan, standard_from_ras):
    return prepare(scan, standard_from_ras, GRID)


def test_the_volume_has_the_networks_shape_whatever_was_scanned(scan, standard_from_ras, prepared):
    assert prepared.hu.shape == (128, 256, 256)
    assert prepared.hu.dtype == np.float32
    # A coarse grid of the same box: half the head leaves shape and place as they are.
    coarse = replace(GRID, name="coarse", spacing_mm=(10.0, 8.0, 8.0), field_px=32, slices=16)
    half = Volume(scan.hu[27:], scan.affine @ np.array([[1, 0, 0, 27], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    whole, part = prepare(scan, standard_from_ras, coarse), prepare(half, standard_from_ras, coarse)
    assert whole.hu.shape == part.hu.shape == (16, 32, 32)
    np.testing.assert_allclose(part.model_to_ras, whole.model_to_ras)
    # What both have seen is the same, up to the slice that is cut in two.
    np.testing.assert_array_equal(part.hu[12:], whole.hu[12:])


def test_a_bright_point_is_found_at_the_predicted_voxel(prepared):
    weight = np.clip(prepared.hu - 200, 0, None)
    index = [np.arange(n) for n in weight.shape]
    centre = [(weight.sum(tuple({0, 1, 2} - {axis})) * index[axis]).sum() / weight.sum() for axis in range(3)]
    predicted = np.linalg.solve(prepared.model_to_ras, [*POINT, 1])[:3]
    assert np.abs(centre - predicted).max() < 0.5


def test_spacing_is_that_of_the_grid_and_slices_go_up(standard_from_ras, prepared):
    np.testing.assert_allclose(np.linalg.norm(prepared.model_to_ras[:3, :3], axis=0), GRID.spacing_mm)
    standard = standard_from_ras @ prepared.model_to_ras
    np.testing.assert_allclose(standard[:3, :3], [[0, 0, -1], [0, -1, 0], [1.25, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(standard @ [0, 127.5, 127.5, 1], [0, 0, GRID.lowest_mm, 1], atol=1e-9)


def test_what_was_not_scanned_is_air_and_what_was_is_not(scan, prepared):
    index = np.linalg.inv(scan.affine) @ prepared.model_to_ras @ GRID.centre_index.T
    scanned = (index[0] > -0.5) & (index[0] < scan.hu.shape[0] - 0.5)
    assert 0 < (~scanned).sum() < 64
    assert (prepared.hu[~scanned] == OUTSIDE_HU).all()
    distance = np.linalg.norm((GRID.centre_index @ prepared.model_to_ras.T)[:, :3] - CENTRE, axis=1)
    inside = prepared.hu[scanned & (distance < RADIUS - 5)][:, 128, 128]
    assert len(inside) > 50
    np.testing.assert_allclose(inside, 30, atol=1)


def test_the_cache_keeps_the_grids_apart(scan, standard_from_ras, prepared, tmp_path):
    cache = PreparedCache(tmp_path, 10**9)
    slices = prepare(scan, standard_from_ras)
    quality = Quality(accepted=True, warnings=[], facts={})
    cache.put("content", PreparedStudy(prepared, quality, {}), GRID)
    assert cache.get("content") is None
    cache.put("content", PreparedStudy(slices, quality, {}))
    for grid, stored in ((GRID, prepared), (SLICE_GRID, slices)):
        found = cache.get("content", grid)
        assert found is not None
        np.testing.assert_array_equal(found.prepared.hu, stored.hu)
        np.testing.assert_array_equal(found.prepared.model_to_ras, stored.model_to_ras)
    assert cache.get("content", replace(GRID, lowest_mm=-60.0)) is None
