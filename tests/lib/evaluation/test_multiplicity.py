"""Adjustments for many tests against their definitions."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from headct_molre.evaluation.multiplicity import benjamini_hochberg, holm


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_equals_scipy():
    p = np.random.default_rng(0).random(75) ** 3
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def test_holm_keeps_its_level_over_a_family():
    rng = np.random.default_rng(1)
    assert np.mean([(holm(rng.random(75)) < 0.05).any() for _ in range(1000)]) < 0.07


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_order_does_not_matter_and_one_stays_one(adjust):
    p = np.random.default_rng(2).random(20)
    order = np.random.default_rng(3).permutation(20)
    assert adjust(p)[order] == pytest.approx(adjust(p[order]))
    assert adjust(np.ones(4)).tolist() == [1, 1, 1, 1]
    assert adjust(np.empty(0)).tolist() == []
