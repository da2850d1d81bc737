"""The model's grid: what stands at a place of the patient is found at the voxel that the affine predicts."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from headct_molre.errors import StudyRefused
from headct_molre.imaging.grid import SLICE_GRID
from headct_molre.imaging.prepare import prepare, resample, windows
from headct_molre.imaging.volume import Volume
from moving import cropped


def scanned(tilt_degrees=0.0, slice_mm=2.5, matrix=256, pixel_mm=0.95):
    """A water ball of 160 mm, scanned with or without tilt; the affine carries the tilt as shear."""
    shift = np.tan(np.radians(tilt_degrees)) * slice_mm
    slices = int(190 / slice_mm)
    affine = np.eye(4)
    affine[:3, 0] = (0, shift, slice_mm)
    affine[:3, 1] = (0, -pixel_mm, 0)
    affine[:3, 2] = (-pixel_mm, 0, 0)
    half = pixel_mm * (matrix - 1) / 2
    affine[:3, 3] = (half + 3, half - 4 - shift * slices / 2, -95 + 2)
    volume = Volume(np.full((slices, matrix, matrix), -1000, np.float32), affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.hu.shape), indexing="ij"), -1)
    ras = volume.to_ras(index)
    volume.hu[np.linalg.norm(ras - (3, -4, 2), axis=-1) < 80] = 30
    return volume, ras


def pose(rotation_degrees, translation):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", rotation_degrees, degrees=True).as_matrix()
    matrix[:3, 3] = translation
    return matrix


@pytest.mark.parametrize("tilt", [0.0, 18.5, -18.5])
@pytest.mark.parametrize("standard_from_ras", [np.eye(4), pose((12, -7, 9), (6, -5, 8))], ids=["identity", "rotated"])
def test_a_bright_point_is_found_at_the_predicted_voxel(tilt, standard_from_ras):
    volume, ras = scanned(tilt)
    point = np.array([31.0, 22.0, -14.0])
    distance = np.linalg.norm(ras - point, axis=-1)
    volume.hu[:] = np.maximum(volume.hu, 3000 * np.exp(-((distance / 4) ** 2)))
    prepared = prepare(volume, standard_from_ras)
    weight = np.clip(prepared.hu - 200, 0, None)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in prepared.hu.shape), indexing="ij"), -1)
    centre = (index * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    predicted = np.linalg.solve(prepared.model_to_ras, [*point, 1])[:3]
    assert np.abs(centre - predicted).max() < 0.5


@pytest.mark.parametrize(("slice_mm", "pixel_mm", "matrix"), [(0.7, 0.95, 256), (1.0, 0.47, 512), (2.0, 0.7, 320)])
def test_a_bright_point_of_a_thin_slice_scan_is_found_through_tilt_and_rotation(slice_mm, pixel_mm, matrix):
    volume, ras = scanned(11.0, slice_mm, matrix, pixel_mm)
    point = np.array([31.0, 22.0, -14.0])
    volume.hu[:] = np.maximum(volume.hu, 3000 * np.exp(-((np.linalg.norm(ras - point, axis=-1) / 4) ** 2)))
    prepared = prepare(volume, pose((12, -7, 9), (6, -5, 8)))
    weight = np.clip(prepared.hu - 200, 0, None)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in prepared.hu.shape), indexing="ij"), -1)
    centre = (index * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    assert np.abs(centre - np.linalg.solve(prepared.model_to_ras, [*point, 1])[:3]).max() < 0.5


def test_finer_voxels_are_averaged_and_not_picked():
    thin, _ = scanned(slice_mm=1.0, matrix=512, pixel_mm=0.475)
    noise = np.random.default_rng(0).normal(0, 20, thin.hu.shape).astype(np.float32)
    thin.hu[:] += noise
    middle = prepare(thin, np.eye(4)).hu[15:25, 100:150, 100:150]
    assert abs(middle.mean() - 30) < 0.5
    # The model's voxel holds sixteen of the scanner's; picking one would leave 13 HU or more after interpolation.
    assert middle.std() < 6


@pytest.mark.parametrize("shift", np.arange(0.25, 4.0, 0.5))
def test_the_ends_of_a_thin_slice_scan_are_not_mixed_with_air(shift):
    # Shorter than the model's grid, so that its first and last slices meet the ends of the scan.
    volume = cropped(scanned(slice_mm=1.0, matrix=128, pixel_mm=2.0)[0], 40, 140)
    volume.hu[:] = 30.0
    prepared = prepare(volume, pose((0, 0, 0), (0, 0, shift)))
    assert prepared.hu[:, 128, 128] == pytest.approx(30.0)
    # 100 slices of 1 mm hold 25 of 4 mm wherever they begin; one mixed with air would be left out as showing no head.
    assert len(prepared.hu) == 25


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_whole_and_fractional_hu_are_prepared_alike(kind):
    volume, _ = scanned()
    np.testing.assert_array_equal(prepare(Volume(volume.hu.astype(kind), volume.affine), np.eye(4)).hu, prepare(volume, np.eye(4)).hu)


def test_grid_is_1_by_1_by_4_mm_from_inferior_to_superior_in_radiological_order():
    prepared = prepare(scanned()[0], np.eye(4))
    steps = prepared.model_to_ras[:3, :3]
    np.testing.assert_allclose(steps[:, 0], (0, 0, 4))
    np.testing.assert_allclose(steps[:, 1], (0, -1, 0))
    np.testing.assert_allclose(steps[:, 2], (-1, 0, 0))
    assert prepared.hu.shape[1:] == (SLICE_GRID.field_px, SLICE_GRID.field_px)
    assert np.all(np.diff(prepared.slice_centres_ras[:, 2]) > 0)


def test_slices_without_head_are_left_out():
    prepared = prepare(scanned()[0], np.eye(4))
    assert (prepared.hu > -300).sum((1, 2)).min() >= 2000
    assert 150 <= 4 * len(prepared.hu) <= 164


def test_outside_the_scan_is_air_and_not_water():
    volume, _ = scanned()
    prepared = prepare(volume, pose((0, 0, 0), (60, 0, 0)))
    assert prepared.hu.min() == -1000


@pytest.fixture
def noise_and_pose():
    """A volume of noise, and the index in it of each place of a grid, which reaches beyond all of its sides."""
    volume = np.random.default_rng(5).normal(0, 100, (30, 90, 100)).astype(np.float32)
    index_from_model = pose((5, -4, 7), (-2, -8, 6)) @ np.diag([0.8, 0.9, 0.9, 1])
    return volume, index_from_model


def test_sampling_is_trilinear_with_repeated_edges(noise_and_pose):
    volume, index_from_model = noise_and_pose
    sampled = resample(volume, index_from_model, range(2, 40), order=1, outside=-1000, field_px=120)
    grid = np.stack(np.meshgrid(np.arange(2, 40), np.arange(120), np.arange(120), indexing="ij"))
    index = np.einsum("ij,j...->i...", index_from_model[:3, :3], grid) + index_from_model[:3, 3].reshape(3, 1, 1, 1)
    inside = np.all([(each > -0.5) & (each < size - 0.5) for each, size in zip(index, volume.shape, strict=True)], axis=0)
    expected = np.where(inside, map_coordinates(volume, index, order=1, mode="nearest"), -1000)
    assert 0.3 < inside.mean() < 0.9
    np.testing.assert_allclose(sampled, expected, atol=1e-3)


def test_sampling_takes_little_more_memory_than_its_result(noise_and_pose):
    # A server infers beside its readers: filling fresh memory of many times the result stops its other threads.
    volume, index_from_model = noise_and_pose
    tracemalloc.start()
    try:
        sampled = resample(volume, index_from_model, range(40), order=1, outside=-1000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 * sampled.nbytes


def test_an_alignment_that_loses_the_head_is_refused():
    with pytest.raises(StudyRefused, match="does not reach"):
        prepare(scanned()[0], pose((0, 0, 0), (0, 0, 900)))


def test_windows_are_the_papers():
    hu = np.array([[[-1000.0, 0.0], [40.0, 80.0]], [[-20.0, 180.0], [2000.0, 600.0]]])
    scaled = windows(hu)
    assert scaled.shape == (2, 3, 2, 2)
    np.testing.assert_allclose(scaled[0, 0], [[0, 0], [0.5, 1]])
    np.testing.assert_allclose(scaled[1, 1], [[0, 1], [1, 1]])
    np.testing.assert_allclose(scaled[1, 2], [[780 / 2800, 980 / 2800], [1, 0.5]])
