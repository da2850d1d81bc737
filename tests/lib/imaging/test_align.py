"""Alignment: the same head, however it lay, comes to lie in the same standard frame."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from headct_molre.data.phantom import make_phantom
from headct_molre.imaging.align import align
from headct_molre.imaging.read import read_study
from headct_molre.imaging.volume import Volume
from moving import LYING, cropped, difference, moved
from shared_data import shared_ct

# A phantom with most of its frontal bone taken away, and one of the others.
CRANIECTOMY_SEED, PHANTOM_SEED = 10**12 + 77 * 10**6 + 6, 10**12 + 77 * 10**6 + 1


@pytest.fixture(scope="module")
def ge_head() -> Volume:
    return read_study(shared_ct("ge_human_tilt"))


@pytest.fixture(scope="module")
def ge_frame(ge_head) -> np.ndarray:
    return align(ge_head).standard_from_ras


@pytest.fixture(scope="module")
def craniectomy() -> Volume:
    return make_phantom(CRANIECTOMY_SEED).volume


def turn_between(volume: Volume, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of pitch, roll and yaw, and mm, by which a volume's alignment departs from a frame."""
    change = align(volume).standard_from_ras @ np.linalg.inv(frame)
    return Rotation.from_matrix(change[:3, :3]).as_euler("xyz", degrees=True), change[:3, 3]


@pytest.mark.parametrize("degrees", [15.0, 35.0])
def test_a_real_head_moved_by_known_motions_finds_the_same_frame(ge_head, ge_frame, degrees):
    errors = []
    for seed in range(4):
        volume, motion = moved(ge_head, seed, degrees)
        alignment = align(volume)
        assert np.allclose(alignment.standard_from_ras[:3, :3] @ alignment.standard_from_ras[:3, :3].T, np.eye(3), atol=1e-6)
        assert alignment.confidence > 0.7
        errors.append(difference(alignment.standard_from_ras @ motion, ge_frame))
    angles, shifts = np.array(errors).T
    assert np.median(angles) < 1.5
    assert np.median(shifts) < 1.0
    assert angles.max() < 4.0
    assert shifts.max() < 3.0


@pytest.mark.parametrize("lying", [lying for lying in LYING if lying != "upright"])
def test_a_real_head_whose_headers_are_wrong_is_found_by_its_looks(ge_head, ge_frame, lying):
    volume, motion = moved(ge_head, 1, 20.0, lying=lying)
    alignment = align(volume)
    degrees, mm = difference(alignment.standard_from_ras @ motion, ge_frame)
    assert degrees < 4.0
    assert mm < 3.0
    assert difference(alignment.standard_from_ras, np.eye(4))[0] > 60


@pytest.mark.parametrize("lying", ["upright", "upside down"])
def test_a_phantom_in_any_orientation_finds_its_true_pose(lying):
    phantom = make_phantom(PHANTOM_SEED)
    volume, motion = moved(phantom.volume, 2, 25.0, lying=lying)
    alignment = align(volume)
    assert difference(alignment.standard_from_ras @ motion, np.linalg.inv(phantom.pose))[0] < 4.0


@pytest.mark.parametrize(("first", "pitch_limit"), [(5, 4.0), (10, 5.0)])
def test_a_scan_that_stops_above_the_skull_base_keeps_its_midline_and_place(ge_head, ge_frame, first, pitch_limit):
    (pitch, roll, yaw), shift = turn_between(cropped(ge_head, first), ge_frame)
    assert abs(roll) < 1.0
    assert abs(yaw) < 1.0
    assert np.linalg.norm(shift) < 3.0
    # Nothing but the vault's outline is left to tell the pitch.
    assert abs(pitch) < pitch_limit


@pytest.mark.parametrize("lying", ["on its side", "feet first", "upside down"])
def test_a_cropped_head_whose_headers_are_wrong_is_never_surely_misread(ge_head, ge_frame, lying):
    """Cut above the skull base, front and back look alike: then the scanner's frame, a low confidence and a warning are honest."""
    volume, motion = moved(cropped(ge_head, 10), 1, 20.0, lying=lying)
    alignment = align(volume)
    right = difference(alignment.standard_from_ras @ motion, ge_frame)[0] < 15
    assert right or (alignment.method == "scanner frame" and alignment.confidence < 0.3)


def test_what_only_the_headers_tell_lowers_the_confidence(ge_head):
    assert align(ge_head).confidence > 0.9
    assert 0.5 < align(cropped(ge_head, 10)).confidence < 0.8


@pytest.mark.parametrize("last", [-3, -6])
def test_a_scan_without_the_vertex_is_not_taken_for_a_lower_head(ge_head, ge_frame, last):
    turn, shift = turn_between(cropped(ge_head, 0, last), ge_frame)
    assert np.abs(turn).max() < 3.0
    # The outline's vertex stands for the missing one; this man's vault is some 5 mm higher than the outline's.
    assert abs(shift[2]) < 8.0


@pytest.mark.parametrize("first", [0, 10])
def test_a_wide_craniectomy_does_not_turn_the_head(craniectomy, first):
    pose = make_phantom(CRANIECTOMY_SEED).pose
    (pitch, roll, yaw), _ = turn_between(cropped(craniectomy, first), np.linalg.inv(pose))
    assert np.abs([pitch, roll, yaw]).max() < 4.0


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
    for lying in ("upright", "feet first"):
        assert np.linalg.det(align(moved(ge_head, 0, 35.0, lying=lying)[0]).standard_from_ras[:3, :3]) == pytest.approx(1.0)


def test_it_is_deterministic(ge_head, ge_frame):
    assert np.array_equal(align(ge_head).standard_from_ras, ge_frame)


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
