"""Alignment: the same head, however it lay, comes to lie in the same standard frame."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from headct_molre.imaging.align import align
from headct_molre.imaging.read import read_study
from headct_molre.imaging.volume import Volume
from shared_data import shared_ct


@pytest.fixture(scope="module")
def ge_head() -> Volume:
    return read_study(shared_ct("ge_human_tilt"))


def moved(volume: Volume, seed: int, degrees: float, mm: float = 30.0) -> tuple[Volume, np.ndarray]:
    """The same voxels elsewhere in the scanner: exact, because only the affine moves."""
    generator = np.random.default_rng(seed)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", generator.uniform(-degrees, degrees, 3), degrees=True).as_matrix()
    motion[:3, 3] = generator.uniform(-mm, mm, 3)
    return Volume(volume.hu, motion @ volume.affine, volume.facts), motion


def difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Degrees and mm, the latter at the standard frame's origin, between two rigid matrices to the standard frame."""
    change = first @ np.linalg.inv(second)
    angle = np.degrees(np.arccos(np.clip((np.trace(change[:3, :3]) - 1) / 2, -1, 1)))
    return float(angle), float(np.linalg.norm(change[:3, 3]))


def is_rigid(matrix: np.ndarray) -> bool:
    rotation = matrix[:3, :3]
    return np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0


@pytest.mark.parametrize("degrees", [15.0, 35.0])
def test_a_real_head_moved_by_known_motions_finds_the_same_frame(ge_head, degrees):
    reference = align(ge_head).standard_from_ras
    errors = []
    for seed in range(5):
        volume, motion = moved(ge_head, seed, degrees)
        alignment = align(volume)
        assert is_rigid(alignment.standard_from_ras)
        assert alignment.confidence > 0.7
        errors.append(difference(alignment.standard_from_ras @ motion, reference))
    angles, shifts = np.array(errors).T
    assert np.median(angles) < 1.5
    assert np.median(shifts) < 1.5
    assert angles.max() < 5.0
    assert shifts.max() < 4.0


def test_a_scan_that_stops_above_the_skull_base_keeps_its_midline_and_place(ge_head):
    affine = ge_head.affine.copy()
    affine[:3, 3] += 10 * affine[:3, 0]
    cropped = align(Volume(ge_head.hu[10:], affine, ge_head.facts))
    moved = cropped.standard_from_ras @ np.linalg.inv(align(ge_head).standard_from_ras)
    pitch, roll, yaw = Rotation.from_matrix(moved[:3, :3]).as_euler("xyz", degrees=True)
    assert abs(roll) < 1.0
    assert abs(yaw) < 1.0
    assert np.linalg.norm(moved[:3, 3]) < 3.0
    # The outline's posterior fossa is shallower than a human one, so the pitch depends on how much of it was scanned.
    assert abs(pitch) < 8.0


def test_the_frame_is_the_documented_one(head):
    alignment = align(head)
    assert alignment.method == "symmetry"
    # The synthetic cavity is an upright ellipsoid around the origin with its vertex at z = 70.
    forehead, left, vertex = (alignment.standard_from_ras @ np.array([*point, 1.0]) for point in ((0, 88, 0), (-70, 0, 0), (0, 0, 70)))
    assert abs(forehead[0]) < 1.5
    assert left[0] == pytest.approx(-70, abs=1.5)
    assert vertex[2] == pytest.approx(70, abs=4.0)
    assert forehead[1] > 75


def test_laterality_is_kept(ge_head):
    # A mirrored head would align as well; the matrix must never mirror it.
    for seed in range(2):
        assert np.linalg.det(align(moved(ge_head, seed, 35.0)[0]).standard_from_ras[:3, :3]) == pytest.approx(1.0)


def test_it_is_deterministic(ge_head):
    assert np.array_equal(align(ge_head).standard_from_ras, align(ge_head).standard_from_ras)


@pytest.mark.parametrize("content", ["air", "cylinder"])
def test_without_a_head_the_scanner_frame_is_kept(content):
    hu = np.full((30, 64, 64), -1000, dtype=np.float32)
    if content == "cylinder":
        rows, columns = np.mgrid[:64, :64]
        hu[:, (rows - 32) ** 2 + (columns - 32) ** 2 < 400] = 40
    affine = np.array([[0, 0, -4.0, 100], [0, -4.0, 0, 100], [5.0, 0, 0, -50], [0, 0, 0, 1]])
    alignment = align(Volume(hu, affine))
    assert alignment.method == "scanner frame"
    assert alignment.confidence < 0.3
    assert np.array_equal(alignment.standard_from_ras[:3, :3], np.eye(3))
    assert np.isfinite(alignment.standard_from_ras).all()
