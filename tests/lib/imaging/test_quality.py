"""The gate: heads with any disease pass, everything else is refused with the reason that names it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from headct_molre.data.phantom import with_jerk, with_jitter
from headct_molre.errors import StudyRefused
from headct_molre.imaging.cavity import head_grid
from headct_molre.imaging.quality import gate, judge_aligned
from headct_molre.imaging.read import read_study
from headct_molre.imaging.volume import Volume
from shared_data import shared_ct


def refused(volume: Volume) -> str:
    with pytest.raises(StudyRefused) as caught:
        gate(volume)
    return caught.value.code


def warned(volume: Volume) -> dict[str, float | None]:
    return {warning.code: warning.value for warning in gate(volume).warnings}


def ras(volume: Volume) -> np.ndarray:
    """RAS positions (3, slice, row, column) in mm."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in volume.hu.shape), indexing="ij"), axis=-1).astype(float)
    return np.moveaxis(volume.to_ras(index), -1, 0)


def test_a_plain_head_is_accepted_without_a_warning(head):
    quality = gate(head)
    assert quality.accepted
    assert quality.warnings == []
    assert quality.facts["brain_median_hu"] == pytest.approx(32, abs=2)
    assert quality.facts["cavity_ml"] == pytest.approx(4 / 3 * np.pi * 7 * 8.8 * 7, rel=0.12)


@pytest.mark.parametrize(
    ("lesion", "hu"),
    [("hemorrhage", 75.0), ("pneumocephalus", -900.0), ("hydrocephalus", 5.0), ("infarct", 18.0)],
)
def test_a_head_with_a_large_lesion_is_accepted(head, lesion, hu):
    x, y, z = ras(head)
    radius = 45 if lesion in ("hydrocephalus", "infarct") else 30
    sick = head.hu.copy()
    sick[(x - 15) ** 2 + y**2 + (z - 10) ** 2 < radius**2] = hu
    assert gate(replace(head, hu=sick)).accepted


def test_a_craniectomy_is_accepted(head):
    x, y, z = ras(head)
    sick = head.hu.copy()
    sick[(x > 40) & (y**2 + (z - 20) ** 2 < 45**2) & (sick > 300)] = 40
    assert gate(replace(head, hu=sick)).accepted


@pytest.mark.parametrize(
    "rescale",
    [
        lambda hu: (hu - hu.min()) / np.ptp(hu),
        lambda hu: np.clip(hu, 0, 80) * 255 / 80,
        lambda hu: np.clip(hu + 1024, 0, None),
        lambda hu: np.clip(hu, -20, 180),
    ],
    ids=["0..1", "brain window 0..255", "without intercept", "clipped"],
)
def test_values_that_are_not_hounsfield_units_are_refused(head, rescale):
    assert refused(replace(head, hu=rescale(head.hu).astype(np.float32))) == "not_hu"


def test_a_stripped_skull_is_refused(head):
    x, y, z = ras(head)
    stripped = np.where((x / 70) ** 2 + (y / 88) ** 2 + (z / 70) ** 2 < 0.95, head.hu, -1000.0).astype(np.float32)
    assert refused(replace(head, hu=stripped)) == "not_plain_ct"
    vessels = np.where((np.abs(x) < 10) & (np.abs(y) < 20), 300.0, 0.0).astype(np.float32)
    assert refused(replace(head, hu=vessels)) == "not_plain_ct"


def test_a_skull_full_of_foam_or_water_at_100_hu_is_no_human_brain(head):
    x, y, z = ras(head)
    inside = (x / 70) ** 2 + (y / 88) ** 2 + (z / 70) ** 2 < 1
    for filling in (-950.0, 120.0):
        assert refused(replace(head, hu=np.where(inside, filling, head.hu).astype(np.float32))) == "not_human_brain"


def test_too_few_slices_air_and_a_vertex_are_refused(head):
    thin = replace(head, hu=head.hu[10:17], facts={"coverage_mm": 30.0})
    assert refused(thin) == "partial_coverage"
    assert refused(replace(head, hu=np.full_like(head.hu, -1000.0))) == "no_brain_in_view"
    x, y, _ = ras(head)
    neck = np.where((x / 60) ** 2 + (y / 65) ** 2 < 1, 45.0, -1000.0)
    neck[(x / 18) ** 2 + ((y + 20) / 18) ** 2 < 1] = 500.0
    assert refused(replace(head, hu=neck.astype(np.float32))) == "no_brain_in_view"


@pytest.mark.parametrize(("gap", "accepted"), [(10.0, True), (14.4, False)])
def test_a_gap_that_could_hide_a_lesion_is_refused(head, gap, accepted):
    gapped = replace(head, facts={**head.facts, "slice_spacing_max_mm": gap, "missing_slices": 1})
    if accepted:
        assert "missing_slices" in warned(gapped)
    else:
        assert refused(gapped) == "slices_too_far_apart"


def test_every_remark_has_its_code_and_value(head):
    facts = {
        **head.facts,
        "tilt_degrees": 12.0,
        "slice_spacing_mm": 7.0,
        "slice_spacing_min_mm": 5.0,
        "slice_spacing_max_mm": 9.0,
        "missing_slices": 2,
        "contrast_tag": True,
        "patient_age_years": 4.0,
        "kernel": "H60s",
        "conflicting_tag": "slice_location",
    }
    assert warned(replace(head, facts=facts)) == {
        "gantry_tilt": 12.0,
        "uneven_spacing": 9.0,
        "missing_slices": 2.0,
        "thick_slices": 7.0,
        "contrast_suspected": None,
        "age_below_18": 4.0,
        "bone_kernel": None,
        "conflicting_tag": None,
    }


ORIENTATIONS = {
    **{f"{axis} {angle}": (axis, angle) for axis in "xyz" for angle in (-35, 35)},
    "upside down": ("y", 180),
    "feet first": ("xz", (180, 180)),
    "prone": ("z", 180),
    "on its right side": ("z", 90),
    "slices are sagittal": ("y", 90),
    "slices are coronal": ("x", -90),
    "sagittal, turned": ("yxz", (90, 30, 20)),
}


@pytest.mark.parametrize("turn", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_a_head_is_accepted_however_it_lies(head, turn):
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler(*turn, degrees=True).as_matrix()
    assert warned(Volume(head.hu, motion @ head.affine, head.facts)) == {}


def test_a_field_of_view_cropped_to_the_skull_is_accepted(head):
    x, y, z = ras(head)
    inside = np.argwhere((np.abs(x) < 72) & (np.abs(y) < 90) & (z < 60))
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    cropped = Volume(head.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], affine, head.facts)
    assert gate(cropped).accepted


def test_whole_numbers_are_as_good_as_decimals(head):
    whole = gate(replace(head, hu=np.round(head.hu).astype(np.int16)))
    assert whole.accepted
    assert whole.facts["cavity_ml"] == pytest.approx(gate(head).facts["cavity_ml"], rel=0.01)


def test_metal_in_and_on_the_skull_is_remarked_with_its_volume(head):
    x, y, z = ras(head)

    def with_metal_at(place):
        hu = head.hu.copy()
        hu[np.sqrt((x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2) < 4] = 3071
        return warned(replace(head, hu=hu))

    clip, plate = (10, 15, -20), (72, 10, 20)
    assert with_metal_at(clip) == {"metal_suspected": pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.4)}
    assert list(with_metal_at(plate)) == ["metal_suspected"]


@pytest.mark.parametrize("thinner", [1, 5], ids=["5 mm slices", "1 mm slices"])
def test_a_filling_in_slices_that_show_brain_has_its_own_remark(head, thinner):
    affine = head.affine @ np.diag([1 / thinner, 1, 1, 1])
    x, y, z = ras(head)
    tooth = head.hu.copy()
    tooth[np.sqrt(x**2 + (y + 118) ** 2 + (z - 10) ** 2) < 4] = 3071
    assert list(warned(Volume(np.repeat(tooth, thinner, axis=0), affine, {}))) == ["metal_beside_brain"]


@pytest.mark.parametrize("shift", [(3.0, 0.0), (0.0, -3.0), (-4.0, 3.0)])
def test_a_head_that_moved_between_two_slices_is_remarked(head, shift):
    assert warned(with_jerk(head, 17, shift)) == {"motion_suspected": pytest.approx(np.hypot(*shift), rel=0.25)}


def test_a_head_that_turned_or_trembled_is_remarked(head):
    assert "motion_suspected" in warned(with_jerk(head, 17, (0.0, 0.0), turn_degrees=4.0))
    assert "motion_suspected" in warned(with_jitter(head, 1.0, np.random.default_rng(0)))


def test_the_contrast_tag_alone_and_the_vessels_alone_each_raise_one_remark(head):
    quality = gate(replace(head, facts={**head.facts, "contrast_tag": True}))
    judged = judge_aligned(quality, head, head_grid(head), np.eye(4))
    assert [warning.code for warning in judged.warnings] == ["contrast_suspected"]


# --- after the alignment -----------------------------------------------------------------------------------------------------


def after_alignment(volume: Volume, standard_from_ras: np.ndarray | None = None) -> dict[str, float | None]:
    grid = head_grid(volume)
    judged = judge_aligned(gate(volume, grid), volume, grid, np.eye(4) if standard_from_ras is None else standard_from_ras)
    return {warning.code: warning.value for warning in judged.warnings}


def part(volume: Volume, kept: slice) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * kept.start
    return Volume(volume.hu[kept], affine, {})


def test_missing_vertex_and_missing_base_are_told_apart(head):
    assert after_alignment(head) == {}
    assert after_alignment(part(head, slice(0, 26))) == {"vertex_missing": pytest.approx(22, abs=6)}
    assert list(after_alignment(part(head, slice(10, 34)))) == ["skull_base_missing"]


def test_they_are_told_apart_in_a_head_that_lies_upside_down(head):
    over = np.diag([-1.0, 1.0, -1.0, 1.0])
    lying = part(head, slice(0, 26))
    lying = Volume(lying.hu, over @ lying.affine, {})
    assert list(after_alignment(lying, over)) == ["vertex_missing", "head_rotated"]


def test_a_head_that_lay_far_off_the_axes_is_remarked_with_its_angle(head):
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("x", 35, degrees=True).as_matrix()
    assert after_alignment(Volume(head.hu, turned @ head.affine, {}), turned.T) == {"head_rotated": pytest.approx(35)}


# --- public scans ------------------------------------------------------------------------------------------------------------


def test_the_tilted_human_head_is_accepted_with_its_two_remarks():
    volume = read_study(shared_ct("ge_human_tilt"))
    assert warned(volume) == {"gantry_tilt": pytest.approx(18.5, abs=0.01), "uneven_spacing": 7.38}


@pytest.mark.parametrize(
    ("scan", "code"),
    [
        ("body_ct", "not_head"),
        ("niivue/CT_pitch.nii.gz", "not_hu"),
        ("niivue/CT_AVM.nii.gz", "not_plain_ct"),
        ("scct_template/scct.nii", "not_hu"),
        ("scct_template/scct_stripped.nii", "not_hu"),
        ("philips_phantom", "not_human_brain"),
        ("philips_phantom/no_tilt_5mm", "not_human_brain"),
        ("philips_phantom/tilt_minus_18_5", "partial_coverage"),
        ("philips_phantom/tilt_plus_16_5", "partial_coverage"),
        ("dicom2nifti_failing/gantry_tilting", "no_brain_in_view"),
        ("dicom2nifti_failing/slice_increment", "no_brain_in_view"),
    ],
)
def test_public_scans_that_are_no_readable_head_are_refused(scan, code):
    assert refused(read_study(shared_ct(scan))) == code
