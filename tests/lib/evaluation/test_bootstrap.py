"""Resampling of patients gives what weighting every study by its draws gives, and intervals that cover."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from headct_molre.evaluation.auc import auc_estimate
from headct_molre.evaluation.bootstrap import BLOCK, bootstrap, interval, mean_over_findings, multiplicities
from simulated_cohort import binormal


def cohort(rng, studies=120, findings=4, patients=70, auc=0.8):
    truth = (rng.random((studies, findings)) < 0.3).astype(float)
    truth[rng.random(truth.shape) < 0.1] = np.nan
    return truth, np.round(binormal(rng, truth, auc), 1), rng.integers(0, patients, studies).astype(str)


def test_every_replicate_equals_scikit_learn_with_the_draws_as_weights():
    truth, score, patients = cohort(np.random.default_rng(0))
    drawn = bootstrap(truth, (score, -score), patients, replicates=BLOCK + 3, seed=5)
    weights = np.concatenate(list(multiplicities(patients, BLOCK + 3, seed=5)), axis=1)
    for column in range(truth.shape[1]):
        known = ~np.isnan(truth[:, column])
        labels, values = truth[known, column], score[known, column]
        for replicate in (0, 1, BLOCK - 1, BLOCK, BLOCK + 2):
            w = weights[known, replicate]
            assert drawn.auc[0, column, replicate] == pytest.approx(roc_auc_score(labels, values, sample_weight=w), abs=1e-12)
            assert drawn.auc[1, column, replicate] == pytest.approx(roc_auc_score(labels, -values, sample_weight=w), abs=1e-12)
            expected = average_precision_score(labels, values, sample_weight=w)
            assert drawn.precision[0, column, replicate] == pytest.approx(expected, abs=1e-12)


def test_a_patient_is_drawn_with_all_studies():
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    for block in multiplicities(patients, 200, seed=0):
        assert (block[[0, 0]] == block[[2, 5]]).all()
        assert (block[1] == block[4]).all()
        assert (block[0] + block[1] + block[3] == 3).all()  # as many patients as there are


def test_the_order_of_the_studies_does_not_matter():
    truth, score, patients = cohort(np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(len(truth))
    first = bootstrap(truth, (score,), patients, 50, seed=3)
    second = bootstrap(truth[order], (score[order],), patients[order], 50, seed=3)
    assert first.auc == pytest.approx(second.auc, abs=1e-12, nan_ok=True)


def test_the_spread_of_the_replicates_is_delongs():
    rng = np.random.default_rng(4)
    truth = (rng.random((500, 1)) < 0.2).astype(float)
    score = binormal(rng, truth, 0.85)
    drawn = bootstrap(truth, (score,), np.arange(500), 2000, seed=0)
    estimate = auc_estimate(truth[:, 0], score[:, 0])
    assert 4 * drawn.auc.std() == pytest.approx((estimate.high - estimate.low) * 4 / 3.92, rel=0.08)


def test_a_replicate_without_a_positive_is_left_out_of_its_mean_and_counted():
    rng = np.random.default_rng(0)
    truth = np.zeros((60, 3))
    truth[:5, 0] = truth[:30, 1] = 1  # five positives: none of them is drawn in some 1 of 160 replicates
    score = binormal(rng, truth, 0.7)
    drawn = bootstrap(truth, (score,), np.arange(60), 2000, seed=0)
    missing = np.isnan(drawn.auc[0, 0])
    assert 2 <= missing.sum() <= 40
    assert np.isnan(drawn.auc[0, 2]).all()
    assert drawn.left_out == pytest.approx(missing.sum() / 4000)
    means = mean_over_findings(drawn.auc[0])
    assert means[missing] == pytest.approx(drawn.auc[0, 1, missing])
    assert np.isfinite(means).all()


def test_the_interval_of_the_macro_auc_covers():
    rng = np.random.default_rng(11)
    aucs = np.array([0.7, 0.8, 0.85, 0.9, 0.95])
    covered = 0
    for repeat in range(150):
        truth = (rng.random((250, 5)) < [0.4, 0.3, 0.2, 0.2, 0.1]).astype(float)
        score = binormal(rng, truth, aucs)
        drawn = bootstrap(truth, (score,), np.arange(250), 300, seed=repeat).auc[0]
        point = np.mean([auc_estimate(truth[:, i], score[:, i]).value for i in range(5)])
        estimate = interval(drawn, mean_over_findings, float(point), "")
        covered += estimate.low <= aucs.mean() <= estimate.high
    assert 0.90 <= covered / 150 <= 0.99


@pytest.mark.parametrize(
    ("values", "point", "reason"),
    [
        (np.empty((2, 0)), 0.8, "no replicates"),
        (np.ones((2, 50)), 1.0, "every replicate gives the same"),
        (np.linspace(0.5, 0.6, 50)[None], 0.9, "outside all replicates"),
    ],
)
def test_a_point_without_an_interval_says_why(values, point, reason):
    estimate = interval(values, mean_over_findings, point, "nothing")
    assert estimate.value == point
    assert estimate.low is None
    assert reason in estimate.reason


def test_no_point_has_the_given_reason():
    assert interval(np.empty((0, 5)), mean_over_findings, None, "nothing").reason == "nothing"
