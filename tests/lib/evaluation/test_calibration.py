"""Platt scaling undoes a distortion; the operating point maximises Youden's index."""

import numpy as np
import pytest

from headct_molre.evaluation.calibration import platt, youden_point


def test_platt_recovers_slope_and_intercept():
    rng = np.random.default_rng(0)
    true_logit = rng.normal(-1, 1.5, 20_000)
    truth = (rng.random(20_000) < 1 / (1 + np.exp(-true_logit))).astype(float)
    fitted = platt(truth, (true_logit - 0.7) / 2)
    assert fitted.slope == pytest.approx(2, rel=0.05)
    assert fitted.intercept == pytest.approx(0.7, abs=0.08)


def test_calibration_never_turns_the_ranking_round():
    assert platt(np.array([0, 0, 1, 1, 0, 1.0]), np.array([3, 2, -1, -2, 1, -3.0])).slope > 0


def test_youden_point_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 300)
    probability = np.clip(rng.normal(0.4 + 0.2 * truth, 0.15), 0, 1)
    point = youden_point(truth, probability)

    def index(threshold):
        return np.mean(probability[truth == 1] >= threshold) + np.mean(probability[truth == 0] < threshold)

    assert index(point) == pytest.approx(max(index(threshold) for threshold in probability))
