"""Splits keep patients together and findings alike, and are the same every time."""

from dataclasses import replace

import numpy as np
import pytest

from cohorts import long_tail_cohort
from headct_molre.data.cohort import ABSENT, PRESENT, SPLITS, Cohort, split_cohort
from headct_molre.errors import InvalidRequest, NotFound


@pytest.fixture(scope="module")
def cohort():
    return long_tail_cohort(2000)


def split_of(cohort: Cohort) -> dict[str, str | None]:
    return {study.study: study.split for study in cohort.studies}


def prevalence(cohort: Cohort) -> np.ndarray:
    present, absent = (cohort.states == PRESENT).sum(0), (cohort.states == ABSENT).sum(0)
    return present / (present + absent)


def largest_deviation(cohort: Cohort) -> float:
    return max(float(np.abs(prevalence(cohort.part(split)) - prevalence(cohort)).max()) for split in SPLITS)


def random_split(cohort: Cohort, seed: int) -> Cohort:
    patients = np.random.default_rng(seed).permutation(np.unique(cohort.patients))
    first, second = int(0.8 * len(patients)), int(0.9 * len(patients))
    of_patient = {name: SPLITS[int(i >= first) + int(i >= second)] for i, name in enumerate(patients)}
    return Cohort(tuple(replace(study, split=of_patient[study.patient]) for study in cohort.studies), cohort.states)


def test_every_study_gets_a_split_of_its_size_and_no_patient_two(cohort):
    split = split_cohort(cohort)
    assert [len(split.part(name)) / len(cohort) for name in SPLITS] == pytest.approx([0.8, 0.1, 0.1], abs=0.005)
    of_patient = {}
    for study in split.studies:
        assert of_patient.setdefault(study.patient, study.split) == study.split
    assert [replace(study, split=None) for study in split.studies] == list(cohort.studies)
    np.testing.assert_array_equal(split.states, cohort.states)


def test_findings_are_alike_in_all_splits_far_more_than_by_chance(cohort):
    ours = [largest_deviation(split_cohort(cohort, seed=seed)) for seed in range(5)]
    by_chance = [largest_deviation(random_split(cohort, seed)) for seed in range(5)]
    assert max(ours) < 0.02
    assert max(ours) < 0.4 * min(by_chance)


def test_ten_positives_are_eight_one_and_one(cohort):
    split = split_cohort(cohort)
    positives = (cohort.states == PRESENT).sum(0)
    tenth = np.flatnonzero((positives >= 10) & (positives < 30))
    assert len(tenth) > 5
    for name in ("validation", "test"):
        assert (np.abs((split.part(name).states == PRESENT).sum(0) - 0.1 * positives)[tenth] <= 1.5).all()


def test_the_order_of_rows_does_not_matter_and_the_seed_does(cohort):
    shuffled = cohort.take(np.random.default_rng(5).permutation(len(cohort)))
    assert split_of(split_cohort(cohort, seed=3)) == split_of(split_cohort(shuffled, seed=3))
    assert split_of(split_cohort(cohort, seed=3)) != split_of(split_cohort(cohort, seed=4))


def test_splits_that_are_given_are_kept_and_new_studies_follow_their_patient(cohort):
    old, new = cohort.take(range(1500)), cohort.take(range(1500, 2000))
    old = split_cohort(old, seed=1)
    grown = split_cohort(Cohort(old.studies + new.studies, np.concatenate([old.states, new.states])), seed=2)
    assert split_of(grown.take(range(1500))) == split_of(old)
    of_patient = {study.patient: study.split for study in old.studies}
    followers = [study for study in grown.studies[1500:] if study.patient in of_patient]
    assert len(followers) > 50
    assert all(study.split == of_patient[study.patient] for study in followers)
    assert largest_deviation(grown) < 0.03
    assert split_of(split_cohort(grown, seed=7)) == split_of(grown), "nothing is left to share out"
    assert split_of(split_cohort(grown, seed=2, redo=True)) == split_of(split_cohort(cohort, seed=2))


def test_sites_are_shared_out_where_that_is_asked(cohort):
    split = split_cohort(cohort, by_site=True)
    for site in {study.site for study in cohort.studies}:
        share = np.mean([study.split == "test" for study in split.studies if study.site == site])
        assert share == pytest.approx(0.1, abs=0.01)


def test_a_held_out_site_is_the_test_split_whole(cohort):
    split = split_cohort(cohort, hold_out_site="site 1")
    assert {study.site for study in split.part("test").studies} == {"site 1"}
    assert len(split.part("test")) == sum(study.site == "site 1" for study in cohort.studies)
    assert len(split.part("train")) / len(split.part("validation")) == pytest.approx(8, rel=0.03)


def test_a_patient_who_was_ever_at_the_held_out_site_is_tested(cohort):
    studies = list(cohort.studies)
    moved = next(i for i, study in enumerate(studies) if study.site == "site 0" and sum(s.patient == study.patient for s in studies) == 2)
    studies[moved] = replace(studies[moved], site="site 1")
    split = split_cohort(Cohort(tuple(studies), cohort.states), hold_out_site="site 1")
    assert {study.split for study in split.studies if study.patient == studies[moved].patient} == {"test"}


@pytest.mark.parametrize("fractions", [(0.8, 0.2, 0.0), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5)])
def test_a_split_of_no_share_gets_nothing(cohort, fractions):
    split = split_cohort(cohort.take(range(300)), fractions)
    assert [len(split.part(name)) / 300 for name in SPLITS] == pytest.approx(fractions, abs=0.02)


@pytest.mark.parametrize("fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5), (0.0, 0.5, 0.5)])
def test_fractions_that_are_none(cohort, fractions):
    with pytest.raises(InvalidRequest) as refused:
        split_cohort(cohort, fractions)
    assert refused.value.field == "fractions"


def test_contradictions_are_refused(cohort):
    pair = next(name for name in cohort.patients if (cohort.patients == name).sum() > 1)
    splits = iter(("train", "test", "test", "test"))
    studies = tuple(replace(study, split=next(splits)) if study.patient == pair else study for study in cohort.studies)
    with pytest.raises(InvalidRequest) as refused:
        split_cohort(Cohort(studies, cohort.states))
    assert refused.value.code == "patient_in_two_splits"
    assert pair not in refused.value.message
    with pytest.raises(NotFound) as unknown:
        split_cohort(cohort, hold_out_site="nowhere")
    assert unknown.value.field == "hold_out_site"
    with pytest.raises(InvalidRequest, match="in train or validation already"):
        split_cohort(split_cohort(cohort), hold_out_site="site 1")
    one_site = Cohort(tuple(replace(study, site="only") for study in cohort.studies), cohort.states)
    with pytest.raises(InvalidRequest, match="left to train on"):
        split_cohort(one_site, hold_out_site="only")


def test_one_study_is_trained_on(cohort):
    assert split_cohort(cohort.take([0])).studies[0].split == "train"
