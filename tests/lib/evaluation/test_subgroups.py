"""Groups of studies, each against the rest on the same findings."""

from dataclasses import replace

import numpy as np
import pytest

from headct_molre.data.cohort import PRESENT, CohortStudy
from headct_molre.evaluation.auc import auc_estimate, finding_placements
from headct_molre.evaluation.bootstrap import bootstrap
from headct_molre.evaluation.macro import macro_estimate, macro_influence
from headct_molre.evaluation.subgroups import NOT_STATED, groups, subgroup_results
from headct_molre.findings import finding_keys
from simulated_cohort import binormal, simulated


@pytest.fixture(scope="module")
def cohort():
    return simulated(600, seed=1, prevalence=np.full(75, 0.15))


def results(cohort, scores):
    return subgroup_results(cohort.studies, cohort.labels(), scores, cohort.patients, finding_keys())


def test_every_dimension_splits_all_studies(cohort):
    dimensions: dict = {}
    for dimension, _, inside in groups(cohort[0].studies):
        dimensions.setdefault(dimension, []).append(inside)
    assert list(dimensions) == ["site", "scanner", "slice thickness", "sex", "age"]
    for members in dimensions.values():
        assert (np.sum(members, axis=0) == 1).all()


def test_what_the_manifest_does_not_say_is_a_group_of_its_own(cohort):
    assert NOT_STATED in [name for dimension, name, _ in groups(cohort[0].studies) if dimension == "sex"]


def test_a_dimension_without_any_value_is_left_out(cohort):
    studies = [replace(study, site=None, scanner=None) for study in cohort[0].studies]
    assert {dimension for dimension, _, _ in groups(studies)} == {"slice thickness", "sex", "age"}


def test_a_groups_auc_is_that_of_its_studies(cohort):
    studies, scores, _ = cohort
    truth = studies.labels()
    result = next(one for one in results(studies, scores.logits) if one.group == "south")
    inside = np.array([study.site == "south" for study in studies.studies])
    assert result.studies == inside.sum()
    for column in (0, 40):
        assert result.findings[column].auc == auc_estimate(truth[inside, column], scores.logits[inside, column])
        assert result.findings[column].positives == (truth[inside, column] == 1).sum()


def test_a_site_where_the_model_fails_is_found(cohort):
    studies, scores, _ = cohort
    logits = scores.logits.copy()
    west = np.array([study.site == "west" for study in studies.studies])
    logits[west] = np.random.default_rng(0).normal(size=logits[west].shape)
    found = {one.group: one for one in results(studies, logits) if one.dimension == "site"}
    assert found["west"].difference.high < -0.3
    assert found["west"].macro_auc.value == pytest.approx(0.5, abs=0.05)
    assert found["north"].difference.low > 0


def test_a_group_that_is_too_small_is_not_estimable_and_the_only_group_has_no_rest(cohort):
    studies, scores, _ = cohort
    marked = [replace(study, site="tiny" if number < 6 else "big", sex="F") for number, study in enumerate(studies.studies)]
    found = {one.group: one for one in subgroup_results(marked, studies.labels(), scores.logits, studies.patients, finding_keys())}
    assert found["tiny"].macro_auc.value is None
    assert "enough positives" in found["tiny"].macro_auc.reason
    assert found["F"].macro_auc.value is not None
    assert "every study" in found["F"].difference.reason


def test_the_macro_interval_agrees_with_the_bootstrap_of_patients():
    cohort, scores, _ = simulated(500, seed=2, prevalence=np.full(75, 0.2), studies_per_patient=2.0)
    truth, logits = cohort.labels()[:, :10], scores.logits[:, :10]
    placed = finding_placements(truth, logits)
    codes = np.unique(cohort.patients, return_inverse=True)[1]
    estimate = macro_estimate(placed, macro_influence(placed, np.arange(500), 500), codes)
    drawn = bootstrap(truth, (logits,), cohort.patients, 1500, seed=0).auc[0].mean(0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert estimate.value == pytest.approx(np.mean([one.auc[0] for one in placed]))
    assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.1)


def test_influence_lies_on_the_studies_that_were_placed():
    truth = np.r_[np.ones(6), np.zeros(8), np.full(2, np.nan)]
    placed = finding_placements(truth[:, None], np.random.default_rng(0).normal(size=(16, 1)))
    rows = np.arange(16) * 2 + 1
    influence = macro_influence(placed, rows, 40)
    assert np.flatnonzero(influence).tolist() == rows[:14].tolist()


def test_the_difference_to_the_rest_covers_zero_where_there_is_none():
    rng = np.random.default_rng(6)
    covered = []
    for seed in range(40):
        cohort, _, _ = simulated(300, seed=seed, prevalence=np.full(75, 0.2))
        truth = (cohort.states == PRESENT)[:, :6].astype(float)
        sites = [CohortStudy(study.study, study.path, study.patient, site=study.site) for study in cohort.studies]
        result = subgroup_results(sites, truth, binormal(rng, truth, 0.8), cohort.patients, finding_keys()[:6])
        covered += [one.difference.low <= 0 <= one.difference.high for one in result]
    assert 0.90 <= np.mean(covered) <= 0.99
