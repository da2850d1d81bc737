"""Proportions at a frozen operating point, with Wilson's interval, and predictive values at a site's own prevalence."""

import numpy as np
import pytest

from headct_molre.evaluation.estimate import Estimate
from headct_molre.evaluation.proportions import at_operating_point, predictive_value, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes, trials, low, high):
    """Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3."""
    estimate = wilson(successes, trials)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_all_of_them_is_no_certainty():
    assert wilson(7, 7).high == 1
    assert wilson(7, 7).low < 0.7


@pytest.fixture
def cases():
    truth = np.r_[np.ones(10), np.zeros(40), np.nan]
    probability = np.r_[np.full(8, 0.9), np.full(2, 0.1), np.full(4, 0.5), np.full(36, 0.2), 0.9]
    return truth, probability


def test_counts_are_those_of_flagging_at_or_above_the_point(cases):
    result = at_operating_point(*cases, 0.5)
    assert result.flagged == 12
    assert result.sensitivity.value == 0.8
    assert result.specificity.value == 0.9
    assert result.ppv.value == pytest.approx(8 / 12)
    assert result.npv.value == pytest.approx(36 / 38)


def test_predictive_values_at_the_cohorts_own_prevalence_are_those_of_the_cohort(cases):
    result = at_operating_point(*cases, 0.5, prevalence=10 / 50)
    assert result.site_ppv.value == pytest.approx(result.ppv.value)
    assert result.site_npv.value == pytest.approx(result.npv.value)


def test_a_rarer_finding_has_a_lower_ppv(cases):
    rare = at_operating_point(*cases, 0.5, prevalence=0.01)
    assert rare.site_ppv.value == pytest.approx(0.8 * 0.01 / (0.8 * 0.01 + 0.1 * 0.99))
    assert rare.site_ppv.low < rare.site_ppv.value < rare.site_ppv.high


def test_without_a_frozen_point_there_is_nothing_to_say(cases):
    result = at_operating_point(*cases, None)
    assert result.sensitivity.value is None
    assert result.sensitivity.reason == "no frozen operating point"


def test_nothing_flagged_leaves_no_ppv(cases):
    result = at_operating_point(*cases, 0.95)
    assert (result.sensitivity.value, result.ppv.value) == (0, None)
    assert result.ppv.reason == "no study is flagged"


def test_too_few_positives_leave_no_sensitivity():
    truth = np.r_[np.ones(4), np.zeros(40)]
    result = at_operating_point(truth, np.arange(44) / 44, 0.5)
    assert "4 positive studies" in result.sensitivity.reason


def test_a_predictive_value_of_nothing_has_a_reason():
    never, always = Estimate(value=0.0, low=0.0, high=0.0), Estimate(value=1.0, low=1.0, high=1.0)
    assert predictive_value(never, always, 0.1).reason == "nothing is flagged"
