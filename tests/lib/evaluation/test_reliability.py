"""Calibration errors: nothing but chance where probabilities are true, and what was put in where they are not."""

import numpy as np
import pytest

from headct_molre.evaluation.reliability import calibration_of, reliability_curve


@pytest.fixture
def calibrated():
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 6, 4000)
    return (rng.random(4000) < probability).astype(float), probability


def test_true_probabilities_have_only_chance_error(calibrated):
    result = calibration_of(*calibrated)
    assert result.ece.value < 0.02
    assert result.expected_to_observed.value == pytest.approx(1, abs=0.08)
    assert result.brier.value == pytest.approx(np.mean((calibrated[0] - calibrated[1]) ** 2))


def test_debiasing_takes_about_half_of_chance_off():
    rng = np.random.default_rng(1)
    plain, debiased = [], []
    for _ in range(200):
        probability = rng.beta(2, 8, 300)
        result = calibration_of((rng.random(300) < probability).astype(float), probability)
        plain.append(result.ece.value)
        debiased.append(result.ece_debiased.value)
    assert 0.4 * np.mean(plain) < np.mean(debiased) < 0.65 * np.mean(plain)


def test_a_shift_is_found(calibrated):
    truth, probability = calibrated
    shifted = calibration_of(truth, np.clip(probability + 0.2, 0, 1))
    assert shifted.ece.value == pytest.approx(0.2, abs=0.02)
    assert shifted.ece_debiased.value == pytest.approx(0.2, abs=0.02)


def test_skill_is_measured_against_always_saying_the_prevalence(calibrated):
    truth, probability = calibrated
    assert 0 < calibration_of(truth, probability).brier_skill.value < 1
    nearly_constant = truth.mean() + np.linspace(-1e-9, 1e-9, len(truth))
    assert calibration_of(truth, nearly_constant).brier_skill.value == pytest.approx(0, abs=1e-6)


def test_bins_hold_equally_many_studies_and_keep_ties_together():
    rng = np.random.default_rng(2)
    curve = reliability_curve(rng.random(1000), np.zeros(1000))
    assert [one.studies for one in curve] == [100] * 10
    tied = reliability_curve(np.r_[np.zeros(950), np.linspace(0.5, 1, 50)], np.zeros(1000))
    assert tied[0].studies == 950
    assert sum(one.studies for one in tied) == 1000


def test_too_few_cases_have_a_reason_and_no_curve():
    result = calibration_of(np.r_[np.ones(3), np.zeros(30)], np.linspace(0, 1, 33))
    assert result.reliability == []
    assert "3 positive studies" in result.ece.reason
