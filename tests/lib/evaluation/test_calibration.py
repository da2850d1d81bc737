"""Platt scaling undoes a distortion, and borrows the slope of other findings where a finding has too little of its own."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from headct_molre.evaluation.calibration import calibrated_logits, fit_calibration, probabilities_of
from headct_molre.schema import Calibration


def platt(truth, raw):
    """Platt scaling of one finding alone, by scikit-learn with its default penalty."""
    scale = raw.std()
    model = LogisticRegression().fit((raw / scale)[:, None], truth)
    return Calibration(slope=max(model.coef_[0, 0] / scale, 1e-3), intercept=model.intercept_[0])


def test_recovers_slope_and_intercept():
    rng = np.random.default_rng(0)
    truth, raw = draw(rng, 20_000, np.array([2.0]), np.array([0.7]))
    fitted = fit_calibration(truth, raw, ["f"])["f"]
    assert fitted.slope == pytest.approx(2, rel=0.05)
    assert fitted.intercept == pytest.approx(0.7, abs=0.08)


def test_calibration_never_turns_the_ranking_round():
    raw = np.linspace(-3, 3, 40)[:, None]
    assert fit_calibration((raw < 0).astype(float), raw, ["f"])["f"].slope > 0


def draw(rng, studies, slope, intercept):
    raw = rng.normal(-1, 1.5, (studies, len(slope)))
    return (rng.random(raw.shape) < expit(slope * raw + intercept)).astype(float), raw


def nll(truth, z):
    return float((np.logaddexp(0, z) - truth * z).mean())


def test_shrinkage_beats_platt_for_rare_findings_and_equals_it_for_common_ones():
    rng = np.random.default_rng(3)
    findings = 40
    slope = np.exp(rng.normal(np.log(1.4), 0.2, findings))
    intercept = np.where(np.arange(findings) < 20, -5.2, -0.6)  # some 9 positives of 1,000; some 250
    keys = [f"f{i}" for i in range(findings)]
    held_out, held_out_raw = draw(rng, 40_000, slope, intercept)
    excess = {"shrunk": [], "platt": [], "free": []}
    for _ in range(6):
        truth, raw = draw(rng, 1000, slope, intercept)
        shrunk, free = fit_calibration(truth, raw, keys), fit_calibration(truth, raw, keys, prior_positives=1e-9)
        for i, key in enumerate(keys):
            if key in shrunk:
                best = nll(held_out[:, i], slope[i] * held_out_raw[:, i] + intercept[i])
                for name, fitted in (("shrunk", shrunk[key]), ("platt", platt(truth[:, i], raw[:, i])), ("free", free[key])):
                    excess[name].append((i < 20, nll(held_out[:, i], fitted.slope * held_out_raw[:, i] + fitted.intercept) - best))
    rare = {name: np.mean([loss for is_rare, loss in rows if is_rare]) for name, rows in excess.items()}
    common = {name: np.mean([loss for is_rare, loss in rows if not is_rare]) for name, rows in excess.items()}
    assert rare["shrunk"] < 0.8 * rare["free"]
    assert rare["shrunk"] < 0.95 * rare["platt"]
    assert common["shrunk"] == pytest.approx(common["free"], rel=0.1)
    assert common["shrunk"] == pytest.approx(common["platt"], rel=0.1)


def test_the_strength_counts_as_positives():
    rng = np.random.default_rng(4)
    slope = np.r_[np.full(30, 1.0), 1.5]
    truth, raw = draw(rng, 3000, slope, np.full(31, -2.0))
    keys = [f"f{i}" for i in range(31)]
    positives = truth[:, 30].sum()
    own, half, pooled = (fit_calibration(truth, raw, keys, prior)["f30"].slope for prior in (1e-9, positives, 1e9))
    assert own == pytest.approx(1.5, rel=0.15)
    assert pooled == pytest.approx(1.05, rel=0.15)
    # as many prior positives as own ones: about half way, on a likelihood that is not quite quadratic
    assert 0.3 < (half - pooled) / (own - pooled) < 0.65


def test_expected_positives_equal_observed_ones():
    rng = np.random.default_rng(5)
    truth, raw = draw(rng, 500, np.full(6, 0.5), np.linspace(-4, 1, 6))
    keys = list("abcdef")
    p = probabilities_of(raw, keys, fit_calibration(truth, raw, keys))
    assert p.sum(0) == pytest.approx(truth.sum(0), rel=1e-6)


def test_it_recovers_a_known_distortion():
    rng = np.random.default_rng(6)
    truth, raw = draw(rng, 30_000, np.array([1.0, 2.0]), np.array([0.5, -1.0]))
    fitted = fit_calibration(truth, (raw - 3) / 4, ["a", "b"])
    assert fitted["a"].slope == pytest.approx(4, rel=0.06)
    assert fitted["b"].slope == pytest.approx(8, rel=0.06)
    assert fitted["a"].intercept == pytest.approx(3.5, abs=0.1)


def test_too_few_positives_are_refused_and_missing_labels_do_not_count():
    rng = np.random.default_rng(7)
    truth, raw = draw(rng, 400, np.ones(4), np.full(4, -1.0))
    truth[:, 1] = 0
    truth[:4, 1] = 1
    truth[:, 2] = np.nan
    raw[:, 3] = 0.5
    assert set(fit_calibration(truth, raw, list("abcd"))) == {"a"}
    alone = fit_calibration(truth[:, :1], raw[:, :1], ["a"])
    truth[:100, 0] = np.nan
    raw[:100, 0] = 1e6
    assert fit_calibration(truth[:, :1], raw[:, :1], ["a"])["a"].slope == pytest.approx(alone["a"].slope, rel=0.3)


@pytest.mark.parametrize("direction", [1, -1])
def test_separated_and_reversed_findings_stay_finite_and_positive(direction):
    truth = np.tile(np.r_[np.ones(10), np.zeros(40)][:, None], (1, 2))
    raw = direction * np.where(truth == 1, 5.0, -5.0) + np.random.default_rng(0).normal(size=truth.shape) * 0.1
    for calibration in fit_calibration(truth, raw, ["a", "b"]).values():
        assert 0 < calibration.slope < 100
        assert np.isfinite(calibration.intercept)


def test_nothing_to_fit_is_an_empty_answer():
    assert fit_calibration(np.full((5, 2), np.nan), np.zeros((5, 2)), ["a", "b"]) == {}


def test_findings_without_calibration_keep_their_logits():
    logits = np.array([[1.0, 2.0]])
    scaled = calibrated_logits(logits, ["a", "b"], {"b": Calibration(slope=2.0, intercept=-1.0)})
    assert scaled.tolist() == [[1.0, 3.0]]
    assert logit(probabilities_of(logits, ["a", "b"], {})) == pytest.approx(logits)
