"""The gate on phantoms: what surrounds a head does not refuse it, and each remark comes with what it names and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from headct_molre.data.phantom import Contrast, Phantom, Surroundings, make_phantom, with_jerk, with_metal
from headct_molre.errors import StudyRefused
from headct_molre.imaging.align import align
from headct_molre.imaging.cavity import head_grid
from headct_molre.imaging.quality import gate, judge_aligned
from headct_molre.imaging.volume import Volume

SEED = 3
CHEST = Surroundings(below_mm=480, field_mm=500, blanket=True)


def upright(phantom: Phantom) -> np.ndarray:
    """The true standard frame of a phantom, but for its height."""
    return np.linalg.inv(phantom.pose)


def remarks(volume: Volume, standard_from_ras: np.ndarray) -> dict[str, float | None]:
    grid = head_grid(volume)
    judged = judge_aligned(gate(volume, grid), volume, grid, standard_from_ras)
    return {warning.code: warning.value for warning in judged.warnings}


def slices_between(phantom: Phantom, low_mm: float, high_mm: float) -> Volume:
    """The slices between two heights (mm) over the middle of the vault."""
    volume = phantom.volume
    height = volume.affine[2, 3] + np.arange(len(volume.hu)) * volume.affine[2, 0] - phantom.pose[2, 3]
    kept = np.flatnonzero((height > low_mm) & (height < high_mm))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * kept[0]
    return Volume(volume.hu[kept[0] : kept[-1] + 1], affine, {})


@pytest.fixture(scope="module")
def plain() -> Phantom:
    return make_phantom(SEED)


@pytest.fixture(scope="module")
def chest() -> Phantom:
    """The same head with neck, shoulders and chest on a table, in a field of view of 500 mm."""
    return make_phantom(SEED, 128, CHEST)


def test_a_head_with_findings_has_no_remark(plain):
    assert len(plain.planted) > 1
    assert remarks(plain.volume, upright(plain)) == {}


@pytest.mark.parametrize("turn", [("y", -35), ("y", 180), ("yxz", (90, 30, 20))])
def test_a_head_with_chest_and_table_is_accepted_however_it_lies(plain, chest, turn):
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler(*turn, degrees=True).as_matrix()
    quality = gate(Volume(chest.volume.hu, motion @ chest.volume.affine, {}))
    assert quality.facts["cavity_ml"] == pytest.approx(gate(plain.volume).facts["cavity_ml"], rel=0.06)


def test_neck_and_shoulders_are_remarked(chest):
    assert list(remarks(chest.volume, upright(chest))) == ["neck_in_view"]


@pytest.mark.parametrize(("low", "high", "codes"), [(-480, -190, {"not_head"}), (-180, -70, {"no_brain_in_view"})], ids=["chest", "neck"])
def test_a_chest_and_a_neck_are_no_head(chest, low, high, codes):
    with pytest.raises(StudyRefused) as caught:
        gate(slices_between(chest, low, high))
    assert caught.value.code in codes


def test_a_closed_rib_cage_does_not_pass_for_a_skull(chest):
    hu = chest.volume.hu.copy()
    height = chest.volume.affine[2, 3] + np.arange(len(hu)) * chest.volume.affine[2, 0] - chest.pose[2, 3]
    ribs = np.where(hu > 250, hu, -1000.0)
    for shift in range(1, 7):
        ribs = np.maximum(ribs, np.maximum(np.roll(hu, shift, axis=0), np.roll(hu, -shift, axis=0)) * (hu > -2000))
    caged = np.where(((ribs > 250) & (height < -205)[:, None, None]), 700.0, hu).astype(np.float32)
    assert gate(Volume(caged, chest.volume.affine, {})).facts["cavity_ml"] == pytest.approx(gate(chest.volume).facts["cavity_ml"], rel=0.02)


def test_vertex_and_skull_base_are_told_apart(plain):
    top = remarks(slices_between(plain, -200, 50), upright(plain))
    base = remarks(slices_between(plain, -35, 200), upright(plain))
    assert top == {"vertex_missing": pytest.approx(25, abs=8)}
    assert base == {"skull_base_missing": pytest.approx(28, abs=8)}


def test_venous_contrast_is_suspected_without_a_tag():
    enhanced = make_phantom(SEED, contrast=Contrast(200.0)).volume
    assert list(remarks(enhanced, align(enhanced).standard_from_ras)) == ["contrast_suspected"]


def test_arterial_contrast_is_suspected_on_thin_slices():
    enhanced = make_phantom(6, contrast=Contrast(200.0, "arterial"))
    assert enhanced.volume.spacing_mm[0] == 3.0
    assert list(remarks(enhanced.volume, upright(enhanced))) == ["contrast_suspected"]


@pytest.mark.parametrize(("kind", "code"), [("clip", "metal_suspected"), ("coil", "metal_suspected"), ("plate", "metal_suspected")])
def test_metal_is_remarked(plain, kind, code):
    assert code in remarks(with_metal(plain, kind, np.random.default_rng(0)).volume, upright(plain))


def test_a_dental_filling_below_the_brain_is_no_metal_in_the_head(chest):
    filled = with_metal(chest, "dental", np.random.default_rng(0))
    assert filled.volume.hu.max() > 3000
    assert list(remarks(filled.volume, upright(chest))) == ["neck_in_view"]


@pytest.mark.parametrize(("shift", "seen"), [(0.5, False), (3.0, True), (5.0, True)])
def test_a_jerk_of_three_millimetres_is_seen(plain, shift, seen):
    assert ("motion_suspected" in remarks(with_jerk(plain.volume, len(plain.volume.hu) // 2, (0.0, shift)), upright(plain))) == seen


@pytest.mark.slow
def test_forty_plain_heads_raise_two_false_alarms_at_most_and_no_refusal():
    alarms = [code for seed in range(40) for phantom in [make_phantom(seed)] for code in remarks(phantom.volume, upright(phantom))]
    assert len(alarms) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(("hu", "at_least"), [(150.0, 0.8), (200.0, 1.0)])
def test_venous_contrast_is_found(hu, at_least):
    found = []
    for seed in range(12):
        phantom = make_phantom(seed, contrast=Contrast(hu))
        found.append("contrast_suspected" in remarks(phantom.volume, upright(phantom)))
    assert np.mean(found) >= at_least
