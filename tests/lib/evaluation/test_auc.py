"""AUC that says when it cannot be said."""

import numpy as np
import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.auc import auc_estimate, finding_auc, finding_placements, mean_auc, patient_codes
from headct_molre.evaluation.estimate import NotEstimable
from simulated_cohort import binormal


def brute_force(truth, score):
    pairs = [(p, n) for p in score[truth == 1] for n in score[truth == 0]]
    return np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs])


def test_equals_the_share_of_ordered_pairs():
    rng = np.random.default_rng(0)
    truth, score = rng.integers(0, 2, 80).astype(float), rng.integers(0, 9, 80).astype(float)
    assert finding_auc(truth, score) == pytest.approx(brute_force(truth, score))


def test_not_assessed_does_not_count():
    truth = np.array([1.0] * 5 + [0.0] * 5 + [np.nan] * 3)
    score = np.r_[np.arange(10)[::-1], [99, -99, 0]].astype(float)
    assert finding_auc(truth, score) == 1.0


def test_a_missing_score_of_a_study_that_was_not_assessed_does_no_harm():
    truth = np.array([1.0] * 5 + [0.0] * 5 + [np.nan])
    assert finding_auc(truth, np.r_[np.arange(10.0), np.nan]) == 0.0


@pytest.mark.parametrize("positives", [0, 4])
def test_too_few_cases_are_not_estimable(positives):
    truth = np.r_[np.ones(positives), np.zeros(20)]
    assert finding_auc(truth, np.arange(len(truth))) is None


LABELS = np.r_[np.ones(8), np.zeros(12)]


@pytest.mark.parametrize(
    ("truth", "score", "reason"),
    [
        (np.full(20, np.nan), np.arange(20.0), "no study was assessed"),
        (np.r_[np.ones(4), np.zeros(16)], np.arange(20.0), "4 positive studies, at least 5"),
        (np.r_[np.ones(19), np.zeros(1)], np.arange(20.0), "1 negative study, at least 5"),
        (LABELS, np.full(20, 0.3), "the same score"),
        (LABELS, np.full(20, np.nan), "gives no score"),
        (LABELS, np.r_[np.nan, np.arange(19.0)], "1 of 20 assessed studies"),
        (LABELS, np.r_[np.inf, -np.inf, np.arange(18.0)], "2 of 20 assessed studies"),
    ],
)
def test_what_cannot_be_estimated_has_a_reason_and_no_number(truth, score, reason):
    estimate = auc_estimate(truth, score)
    assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
    assert reason in estimate.reason
    assert finding_auc(truth, score) is None


def test_a_soft_label_is_refused():
    with pytest.raises(InvalidRequest, match="mask uncertain"):
        auc_estimate(np.r_[0.5, LABELS[1:]], np.arange(20.0))


def test_mean_is_over_estimable_findings():
    assert mean_auc([0.8, None, 0.6]) == pytest.approx(0.7)
    assert mean_auc([None]) is None


def test_every_finding_is_judged_on_its_own_studies():
    rng = np.random.default_rng(3)
    truth = (rng.random((60, 3)) < 0.4).astype(float)
    truth[::2, 1] = np.nan
    truth[:, 2] = np.nan
    score = binormal(rng, truth, 0.8)
    first, second, third = finding_placements(truth, score)
    assert first.auc[0] == pytest.approx(brute_force(truth[:, 0], score[:, 0]))
    assert second.auc[0] == pytest.approx(brute_force(truth[1::2, 1], score[1::2, 1]))
    assert isinstance(third, NotEstimable)


def test_patients_get_codes_only_where_one_has_two_studies():
    assert patient_codes(np.array(["b", "a", "c"])) is None
    assert patient_codes(np.array(["b", "a", "b"])).tolist() == [1, 0, 1]
