"""Platt scaling of each finding, fitted on validation studies and frozen with the model version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit

from ..schema import Calibration
from .cases import Cases, cases_of
from .estimate import NotEstimable

# Fewer positives or negatives than this are not calibrated at all.
FEWEST_TO_CALIBRATE = 5
# The pooled slope counts as much as this many positives of a finding's own.
PRIOR_POSITIVES = 10.0
SMALLEST_SLOPE = 1e-3


def fit_calibration(
    truth: np.ndarray,
    logits: np.ndarray,
    keys: Sequence[str],
    prior_positives: float = PRIOR_POSITIVES,
    minimum: int = FEWEST_TO_CALIBRATE,
) -> dict[str, Calibration]:
    """Platt scaling with slopes shrunk towards the pooled one; truth of 1, 0 and NaN and raw logits are (N, F) in the order of `keys`.

    A common slope with an intercept for each finding is fitted to all findings first. Then each finding gets its own slope and intercept by
    maximum likelihood with the penalty (precision / 2) (slope - pooled slope)^2. Its precision is `prior_positives` times the information
    that one positive carries about a slope, on average over the findings. The intercept is free: it holds the prevalence, which findings do
    not share. A finding is missing where it has fewer than `minimum` positives or negatives, or no usable score (`cases_of`).
    """
    found = {key: cases_of(truth[:, i], logits[:, i], minimum=minimum) for i, key in enumerate(keys)}
    usable = {key: cases for key, cases in found.items() if not isinstance(cases, NotEstimable)}
    if not usable:
        return {}
    pooled = _pooled_slope(list(usable.values()))
    information = sum(_slope_derivatives(cases, pooled)[1] for cases in usable.values())
    positives = sum(int(cases.positive.sum()) for cases in usable.values())
    precision = prior_positives * information / positives
    slopes = {key: _shrunk_slope(cases, pooled, precision) for key, cases in usable.items()}
    return {key: Calibration(slope=slopes[key], intercept=_intercept(cases, slopes[key])) for key, cases in usable.items()}


def calibrated_logits(logits: np.ndarray, keys: Sequence[str], calibration: Mapping[str, Calibration]) -> np.ndarray:
    """Logits (N, F) after Platt scaling; those of a finding without calibration stay raw."""
    scales = [calibration.get(key) for key in keys]
    slope = np.array([1.0 if scale is None else scale.slope for scale in scales])
    intercept = np.array([0.0 if scale is None else scale.intercept for scale in scales])
    return np.asarray(logits, np.float64) * slope + intercept


def probabilities_of(logits: np.ndarray, keys: Sequence[str], calibration: Mapping[str, Calibration]) -> np.ndarray:
    """Calibrated probabilities (N, F) of raw logits (N, F)."""
    return np.asarray(expit(calibrated_logits(logits, keys, calibration)))


def _pooled_slope(cases: list[Cases]) -> float:
    """The common slope that is likeliest, with every finding's intercept at its best.

    Scikit-learn's default penalty, once, on the standardised logit: it decides nothing but findings that are all perfectly separated.
    """
    variance = float(np.mean([one.scores.var() for one in cases]))

    def derivatives(slope: float) -> tuple[float, float]:
        first, second = np.sum([_slope_derivatives(one, slope) for one in cases], axis=0)
        return float(first) - slope * variance, float(second) + variance

    return _newton(derivatives, 1 / np.sqrt(variance))


def _shrunk_slope(cases: Cases, pooled: float, precision: float) -> float:
    """The slope of one finding under the penalty towards the pooled one."""

    def derivatives(slope: float) -> tuple[float, float]:
        first, second = _slope_derivatives(cases, slope)
        return first - precision * (slope - pooled), second + precision

    return _newton(derivatives, pooled)


def _newton(derivatives: Callable[[float], tuple[float, float]], slope: float) -> float:
    """The slope, at least `SMALLEST_SLOPE`, at which a concave function peaks; `derivatives` are its first and its negative second."""
    for _ in range(100):
        first, second = derivatives(slope)
        following = max(slope + float(np.clip(first / second, -0.5 * slope, slope)), SMALLEST_SLOPE)
        if abs(following - slope) < 1e-9 * slope:
            break
        slope = following
    return slope


def _intercept(cases: Cases, slope: float) -> float:
    """The likeliest intercept at this slope, at which as many positives are expected as there are; Newton's method in a bracket."""
    scaled, positives = slope * cases.scores[:, 0], int(cases.positive.sum())
    prevalence = np.log(positives / (len(scaled) - positives))
    low, high = prevalence - scaled.max(), prevalence - scaled.min()
    intercept = (low + high) / 2
    for _ in range(200):
        probability = expit(scaled + intercept)
        surplus = float(probability.sum()) - positives
        low, high = (low, intercept) if surplus > 0 else (intercept, high)
        information = float((probability * (1 - probability)).sum())
        newton = intercept - surplus / information if information > 0 else np.inf
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - intercept) < 1e-12 * max(1.0, abs(intercept)):
            break
        intercept = following
    return float(intercept)


def _slope_derivatives(cases: Cases, slope: float) -> tuple[float, float]:
    """First derivative and negative second derivative of the log-likelihood by the slope, with the intercept at its best."""
    logit = cases.scores[:, 0]
    probability = expit(slope * logit + _intercept(cases, slope))
    weight = probability * (1 - probability)
    total = float(weight.sum())
    centre = float((weight * logit).sum()) / total if total > 0 else 0.0
    return float(((cases.positive - probability) * logit).sum()), float((weight * (logit - centre) ** 2).sum())
