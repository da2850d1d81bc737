"""Phantoms: reproducible, plausible in Hounsfield units, and showing what their labels say."""

import csv
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from headct_molre.data.cohort import read_manifest
from headct_molre.data.phantom import DRAWABLE, LABELS_FILE, make_phantom, write_cohort
from headct_molre.data.phantom.anatomy import BONE, CSF, GREY, VENTRICLE, WHITE, sample_head
from headct_molre.data.phantom.cohort import cohort_seed
from headct_molre.data.phantom.lesions import (
    HEMORRHAGE_SITES,
    LESION_ID,
    PARENT,
    WITHOUT_LESION,
    implied_findings,
    reshape_head,
    sample_findings,
)
from headct_molre.data.phantom.scanner import Protocol, scan
from headct_molre.errors import InvalidRequest
from headct_molre.findings import finding_keys
from headct_molre.training.train_demo import DemoSettings
from required_findings import REQUIRED

PLAIN = Protocol(np.eye(4), 256, 0.95, 4.0, 0.0, -85.0, 3.0, 0.4, 0.0)


def plant(keys, seed=3):
    rng = np.random.default_rng(seed)
    head = reshape_head(sample_head(rng), keys, rng)
    return scan(head, keys | implied_findings(head), PLAIN, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def normal():
    return plant(set())


def test_the_same_seed_makes_the_same_study():
    first, second, other = make_phantom(11), make_phantom(11), make_phantom(12)
    assert np.array_equal(first.volume.hu, second.volume.hu)
    assert first.planted == second.planted
    assert not np.array_equal(first.pose, other.pose)


@pytest.mark.parametrize(("tissue", "low", "high"), [(GREY, 33, 41), (WHITE, 25, 33), (CSF, 0, 20), (VENTRICLE, 2, 12), (BONE, 550, 1300)])
def test_tissues_have_plausible_hounsfield_units(normal, tissue, low, high):
    assert low < np.median(normal.volume.hu[normal.tissue == tissue]) < high


def test_a_normal_head_has_no_lesion_and_the_size_of_a_brain(normal):
    assert normal.tissue.max() < min(LESION_ID.values())
    voxel_ml = abs(np.linalg.det(normal.volume.affine[:3, :3])) / 1000
    assert 900 < np.isin(normal.tissue, (GREY, WHITE)).sum() * voxel_ml < 1700


@pytest.mark.parametrize("key", sorted(set(DRAWABLE) - set(WITHOUT_LESION) - {PARENT}))
def test_a_planted_lesion_is_there(key):
    phantom = plant({key})
    lesion = phantom.tissue == LESION_ID[key]
    voxel_mm3 = abs(np.linalg.det(phantom.volume.affine[:3, :3]))
    assert lesion.sum() * voxel_mm3 > 60
    assert set(np.unique(phantom.tissue[phantom.tissue >= min(LESION_ID.values())])) == {LESION_ID[key]}


def test_acute_blood_is_denser_than_brain_and_infarct_less_dense():
    blood = plant({"lobar_hemorrhage", "intraparenchymal_hemorrhage"})
    infarct = plant({"acute_infarct"})
    assert 45 < np.median(blood.volume.hu[blood.tissue == LESION_ID["lobar_hemorrhage"]]) < 80
    assert 15 < np.median(infarct.volume.hu[infarct.tissue == LESION_ID["acute_infarct"]]) < 27


def test_midline_shift_moves_the_ventricles(normal):
    shifted = plant({"midline_shift"})

    def middle(phantom):
        where = np.argwhere(phantom.tissue == VENTRICLE)
        return phantom.volume.to_ras(where)[:, 0].mean()

    assert abs(middle(normal)) < 2
    assert abs(middle(shifted)) > 4


def test_hydrocephalus_enlarges_the_ventricles(normal):
    large = plant({"hydrocephalus"})
    assert (large.tissue == VENTRICLE).sum() > 2.5 * (normal.tissue == VENTRICLE).sum()
    assert "ventricular_enlargement" in large.planted


def test_what_cannot_be_drawn_is_not_assessed(tmp_path):
    assert set(DRAWABLE) >= set(REQUIRED)
    assert set(DRAWABLE) <= set(finding_keys())
    paths = write_cohort(tmp_path, 2, seed=4)
    with (tmp_path / LABELS_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] + ".nii.gz" for row in rows] == [path.name for path in paths]
    for row in rows:
        assert all(row[key] in ("present", "absent") for key in DRAWABLE)
        assert all(row[key] == "not_assessed" for key in set(finding_keys()) - set(DRAWABLE))


def test_the_manifest_of_phantoms_is_one_of_synthetic_studies(tmp_path):
    paths = write_cohort(tmp_path, 5, seed=4, matrix=64, split=True)
    cohort = read_manifest(tmp_path / LABELS_FILE)
    assert [study.path for study in cohort.studies] == paths
    assert {study.site for study in cohort.studies} == {"phantom"}
    assert all(study.synthetic and study.patient == study.study for study in cohort.studies)
    assert len(set(cohort.patients)) == 5
    assert {study.split for study in cohort.studies} >= {"train"}
    assert None not in {study.split for study in cohort.studies}
    for number, study in enumerate(cohort.studies, 1):
        volume = make_phantom(cohort_seed(4, number), 64).volume
        assert study.slice_thickness_mm == pytest.approx(volume.affine[2, 0], abs=1e-3), "the height of a slice, tilted or not"


def test_without_splits_phantoms_have_none(tmp_path):
    write_cohort(tmp_path, 1, seed=4, matrix=64)
    assert read_manifest(tmp_path / LABELS_FILE).studies[0].split is None


def test_a_written_study_keeps_its_geometry_and_says_that_it_is_synthetic(tmp_path):
    (path,) = write_cohort(tmp_path, 1, seed=9)
    phantom = make_phantom(cohort_seed(9, 1))
    image = nibabel.load(path)
    np.testing.assert_allclose(image.affine[:, [2, 1, 0, 3]], phantom.volume.affine, atol=1e-4)
    np.testing.assert_allclose(np.asarray(image.dataobj).transpose(2, 1, 0), phantom.volume.hu, atol=0.51)
    assert b"synthetic" in image.header["descrip"].item()


def test_findings_of_a_phantom_never_contradict_each_other():
    rng = np.random.default_rng(0)
    for _ in range(300):
        keys = sample_findings(rng)
        assert ("intraparenchymal_hemorrhage" in keys) == bool(keys & set(HEMORRHAGE_SITES))
        assert not {"hydrocephalus", "cerebral_atrophy"} <= keys
        assert "vasogenic_edema" not in keys or "intra_axial_tumor" in keys


def test_atrophy_widens_the_sulci(normal):
    atrophic = plant({"cerebral_atrophy"})
    assert (atrophic.tissue == CSF).sum() > 1.5 * (normal.tissue == CSF).sum()


def test_a_users_phantoms_are_not_those_that_made_the_demo_model():
    """But for one seed of a cohort, which the demo's card leads to."""
    demo = DemoSettings()
    own = {cohort_seed(demo.cohort_seed, number) for number in (1, demo.cohort_studies)} | {1, demo.pretrain_studies}
    for seed in (0, 1, demo.cohort_seed - 1, demo.cohort_seed + 1):
        first, last = cohort_seed(seed, 1), cohort_seed(seed, 999_999)
        assert not any(first <= one <= last for one in own)


def test_a_cohort_is_never_overwritten(tmp_path):
    (tmp_path / LABELS_FILE).write_text("labels of a reader")
    with pytest.raises(InvalidRequest, match="another folder"):
        write_cohort(tmp_path, 1)
    assert (tmp_path / LABELS_FILE).read_text() == "labels of a reader"


def test_what_is_not_in_the_picture_is_not_assessed():
    """A scan that ends above the sinuses does not show that they are full, nor that they are empty."""
    head = sample_head(np.random.default_rng(3))
    keys = {"sinusitis", "subdural_hematoma", "cerebral_atrophy"}
    whole = scan(head, keys, PLAIN, np.random.default_rng(3))
    cut = scan(head, keys, replace(PLAIN, bottom_mm=10.0), np.random.default_rng(3))
    assert whole.hidden == frozenset()
    assert cut.hidden == {"sinusitis"}
    assert [phantom.states["sinusitis"] for phantom in (whole, cut)] == ["present", "not_assessed"]
    assert cut.states["subdural_hematoma"] == cut.states["cerebral_atrophy"] == "present"


def test_a_hemorrhage_is_present_where_its_site_is():
    for seed in range(40):
        known = make_phantom(seed, matrix=64).states
        sites = {known[key] for key in HEMORRHAGE_SITES}
        assert (known[PARENT] == "present") == ("present" in sites)
