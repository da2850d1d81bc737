"""The metrics that training writes on a model card."""

import numpy as np
import pytest

from headct_molre.evaluation.auc import finding_auc
from headct_molre.evaluation.card_metrics import card_metrics
from headct_molre.evaluation.frozen import fit_frozen
from headct_molre.findings import finding_keys
from headct_molre.schema import FindingMetrics
from simulated_cohort import simulated


@pytest.fixture(scope="module")
def data():
    return simulated(600, seed=9)


def test_metrics_of_a_held_out_part(data):
    cohort, scores, _ = data
    frozen = fit_frozen(cohort.part("validation"), scores)
    test = cohort.part("test")
    truth, logits = test.labels(), scores.of(tuple(study.study for study in test.studies)).logits
    metrics = card_metrics(truth, logits, calibration=frozen.calibration, operating_points=frozen.operating_points)
    assert list(metrics) == list(finding_keys())
    for column, (key, one) in enumerate(metrics.items()):
        assert one.auc == (None if finding_auc(truth[:, column], logits[:, column]) is None else pytest.approx(one.auc))
        assert (one.auc is None) == (one.auc_low is None) == (one.average_precision is None)
        assert (one.sensitivity is not None) == (one.auc is not None and key in frozen.operating_points)
        assert one.positives == (truth[:, column] == 1).sum()
    assert any(one.auc is None for one in metrics.values())
    assert sum(one.sensitivity is not None for one in metrics.values()) > 20


def test_findings_that_nobody_assessed_are_left_out():
    truth = np.full((30, 2), np.nan)
    truth[:, 0] = np.arange(30) % 2
    assert list(card_metrics(truth, np.random.default_rng(0).normal(size=(30, 2)), ["a", "b"])) == ["a"]


def test_cards_from_before_the_intervals_still_load():
    old = FindingMetrics.model_validate({"positives": 7, "negatives": 90, "auc": 0.8})
    assert (old.auc_low, old.sensitivity) == (None, None)
