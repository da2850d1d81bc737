"""AUC that says when it cannot be said."""

import numpy as np
import pytest

from headct_molre.evaluation.auc import finding_auc, mean_auc


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


@pytest.mark.parametrize("positives", [0, 4])
def test_too_few_cases_are_not_estimable(positives):
    truth = np.r_[np.ones(positives), np.zeros(20)]
    assert finding_auc(truth, np.arange(len(truth))) is None


def test_mean_is_over_estimable_findings():
    assert mean_auc([0.8, None, 0.6]) == pytest.approx(0.7)
    assert mean_auc([None]) is None
