"""Average precision is scikit-learn's, with an interval that never has zero width."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from headct_molre.evaluation.precision import average_precision
from simulated_cohort import binormal


def test_equals_scikit_learn_and_lies_in_its_interval():
    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.1).astype(float)
    score = np.round(binormal(rng, truth, 0.85), 1)
    estimate = average_precision(truth, score)
    assert estimate.value == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert 0 < estimate.low < estimate.value < estimate.high < 1


def test_without_skill_it_is_the_prevalence():
    rng = np.random.default_rng(1)
    truth = (rng.random(50_000) < 0.03).astype(float)
    assert average_precision(truth, rng.random(50_000)).value == pytest.approx(0.03, abs=0.005)


def test_perfect_order_is_no_certainty():
    estimate = average_precision(np.r_[np.ones(6), np.zeros(50)], -np.arange(56.0))
    assert estimate.value == 1
    assert estimate.low == pytest.approx(0.025 ** (1 / 6))


def test_too_few_positives_have_a_reason():
    assert "2 positive studies" in average_precision(np.r_[np.ones(2), np.zeros(50)], np.arange(52.0)).reason
