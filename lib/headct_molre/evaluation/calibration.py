"""Platt scaling and operating points, fitted on validation studies and frozen with the model version."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from ..schema import Calibration


def platt(truth: np.ndarray, logit: np.ndarray) -> Calibration:
    """Slope and intercept of one finding by logistic regression on the standardised logit, with scikit-learn's default penalty.

    `truth` (N,) of 0 and 1, `logit` (N,). The slope is kept positive, so that calibration never turns a ranking round.
    """
    mean, scale = float(logit.mean()), max(float(logit.std()), 1e-6)
    model = LogisticRegression().fit(((logit - mean) / scale).reshape(-1, 1), truth)
    slope = max(float(model.coef_[0, 0]) / scale, 1e-3)
    return Calibration(slope=slope, intercept=float(model.intercept_[0]) - slope * mean)


def youden_point(truth: np.ndarray, probability: np.ndarray) -> float:
    """The probability at which sensitivity + specificity is largest on validation studies."""
    false_positive, true_positive, thresholds = roc_curve(truth, probability)
    best = int(np.argmax((true_positive - false_positive)[1:])) + 1
    return float(np.clip(thresholds[best], 0.0, 1.0))
