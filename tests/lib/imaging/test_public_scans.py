"""The public scans of shared/ct, read as their README says."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from headct_molre.errors import StudyRefused
from headct_molre.imaging.pipeline import prepare_study
from headct_molre.imaging.read import read_study
from imaging_files import refusal
from shared_data import shared_ct


def test_the_tilted_human_head_is_read_with_its_true_geometry():
    volume = read_study(shared_ct("ge_human_tilt"))
    facts = volume.facts
    assert volume.hu.shape == (37, 512, 512)
    assert facts["tilt_degrees"] == pytest.approx(18.5, abs=0.01)
    assert facts["coverage_mm"] == pytest.approx(151.94, abs=0.01)
    assert (facts["slices"], facts["slice_spacing_min_mm"], facts["slice_spacing_max_mm"]) == (28, 1.14, 7.38)
    assert volume.hu.min() >= -1024.01
    first, last = volume.to_ras(np.array([[0, 0, 0], [36, 0, 0]], dtype=float))
    assert last - first == pytest.approx([0, 0, 151.94], abs=1e-3)
    assert first == pytest.approx([125.0, 123.540457, 5.836059], abs=1e-4)


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("ge_human_wrong_geometry", "geometry_contradiction"),
        ("head_mr", "wrong_modality"),
        ("philips_phantom/localizer", "localizer"),
        ("philips_phantom/secondary_captures", "secondary_capture"),
        ("dicom2nifti_failing/not_a_volume", "not_a_volume"),
        ("niivue", "several_volumes"),
    ],
)
def test_public_scans_that_are_no_head_ct_volume_are_refused(folder, code):
    assert refusal(shared_ct(folder)).code == code


def test_two_versions_of_one_study_are_not_merged(tmp_path):
    for folder in ("ge_human_tilt", "ge_human_wrong_geometry"):
        shutil.copytree(shared_ct(folder), tmp_path / folder)
    assert refusal(tmp_path).code == "duplicate_uid"


def test_the_axial_series_is_chosen_among_five():
    volume = read_study(shared_ct("philips_phantom"))
    assert volume.hu.shape == (28, 512, 512)
    assert volume.facts["slice_spacing_mm"] == 5.0


@pytest.mark.parametrize(("folder", "tilt", "missing"), [("gantry_tilting", 14.0, 0), ("slice_increment", 15.5, 1)])
def test_tilt_and_missing_slices_are_found_without_tags(folder, tilt, missing):
    facts = read_study(shared_ct(f"dicom2nifti_failing/{folder}")).facts
    assert facts["tilt_degrees"] == pytest.approx(tilt, abs=0.01)
    assert facts["missing_slices"] == missing


@pytest.mark.parametrize(
    "name",
    [
        "blast_ct_atlas/atlas_template_space.nii.gz",
        "blast_ct_atlas/ct_template_mask.nii.gz",
        "insilico_ich/skull_seg.nii.gz",
        "insilico_ich/fracture_seg.nii.gz",
        "insilico_ich/skull_sutures.nii.gz",
        "scct_template/scct.nii",
        "scct_template/scct_stripped.nii",
    ],
)
def test_atlases_masks_and_templates_are_no_input(name):
    with pytest.raises(StudyRefused) as caught:
        prepare_study(shared_ct(name))
    # A mask is so regular that it unpacks to more than any scan does; the others have no air.
    assert caught.value.code in {"not_hu", "not_plain_ct", "decompression_bomb"}
