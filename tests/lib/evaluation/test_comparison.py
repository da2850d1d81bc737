"""Two models on the same studies."""

import numpy as np
import pytest
from scipy.special import expit

from headct_molre.evaluation.comparison import compare, non_inferiority
from headct_molre.evaluation.estimate import Estimate
from headct_molre.findings import finding_keys
from simulated_cohort import simulated

KEYS = finding_keys()


@pytest.fixture(scope="module")
def data():
    cohort, better, worse = simulated(700, seed=5, gain=0.4, studies_per_patient=1.5)
    return cohort.labels(), better.logits, worse.logits, cohort.patients


def compared(data, **options):
    truth, first, second, patients = data
    return compare(truth, first, second, patients, KEYS, "other", **{"replicates": 150, **options})


def test_the_better_model_is_found_better(data):
    result = compared(data)
    assert result.macro_difference.low > 0
    assert len(result.better_by_holm) > 10
    assert result.worse_by_holm == []
    assert result.non_inferiority.met


def test_swapping_the_models_swaps_the_signs_and_nothing_else(data):
    truth, first, second, patients = data
    one, other = compared(data), compared((truth, second, first, patients))
    assert one.macro_difference.value == -other.macro_difference.value
    assert one.macro_difference.low == pytest.approx(-other.macro_difference.high, abs=1e-12)
    assert one.better_by_holm == other.worse_by_holm
    assert (one.above_090, one.above_090_against) == (other.above_090_against, other.above_090)
    for a, b in zip(one.findings, other.findings, strict=True):
        assert (a.auc, a.p, a.p_holm, a.q) == (b.auc_against, pytest.approx(b.p), pytest.approx(b.p_holm), pytest.approx(b.q))
        assert a.difference.low == pytest.approx(-b.difference.high, abs=1e-12)


def test_the_order_of_the_studies_does_not_matter(data):
    order = np.random.default_rng(0).permutation(len(data[0]))
    one, other = compared(data), compared(tuple(part[order] for part in data))
    assert one.macro_difference.low == pytest.approx(other.macro_difference.low, abs=1e-12)
    for a, b in zip(one.findings, other.findings, strict=True):
        assert a.p == pytest.approx(b.p, abs=1e-12)


def test_a_model_is_not_inferior_to_its_own_calibration(data):
    truth, first, _, patients = data
    result = compared((truth, first, expit(first), patients))
    assert result.macro_difference.value == 0
    assert all(one.p is None for one in result.findings)
    assert result.better_by_holm == result.worse_by_holm == []
    assert result.non_inferiority.met is None


def test_counts_and_means_are_over_the_findings_of_both(data):
    truth, first, second, patients = data
    silent = second.copy()
    silent[:, 3] = np.nan
    result = compared((truth, first, silent, patients))
    assert KEYS[3] not in [one.key for one in result.findings]
    assert result.findings_compared == len(result.findings)
    assert result.macro_auc == pytest.approx(np.mean([one.auc.value for one in result.findings]))
    assert result.macro_difference.value == pytest.approx(result.macro_auc - result.macro_auc_against)
    assert result.above_090 == sum(one.auc.value > 0.9 for one in result.findings)
    assert result.above_090_by_lower_bound_against == sum(one.auc_against.low > 0.9 for one in result.findings)
    assert sum(one.findings for one in result.categories) == len(result.findings)


def test_nothing_in_common_is_said():
    truth = np.full((10, 75), np.nan)
    result = compare(truth, truth, truth, np.arange(10), KEYS, "other", replicates=10)
    assert result.macro_difference.value is None
    assert result.findings == []


@pytest.mark.parametrize(("low", "met"), [(-0.004, True), (-0.01, False), (-0.02, False)])
def test_non_inferiority_is_judged_by_the_lower_end(low, met):
    statement = non_inferiority(Estimate(value=0.0, low=low, high=0.02), "the champion", margin=0.01)
    assert statement.met is met
    assert "the champion" in statement.statement
