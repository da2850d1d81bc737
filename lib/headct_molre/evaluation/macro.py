"""The mean AUC over findings, with an interval that costs no resampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from .delong import Placements, covariance
from .estimate import Estimate, Z


def macro_influence(placed: Sequence[Placements], rows: np.ndarray, size: int) -> np.ndarray:
    """Each study's part (size,) in the error of the mean AUC over findings; `rows` are the positions of the studies that were placed.

    The findings of a study are not independent of each other, nor are the studies of a patient: parts are added before they are squared.
    """
    total = np.zeros(size)
    for one in placed:
        total[rows[one.cases.rows]] += one.influence[:, 0] / len(placed)
    return total


def macro_auc(placed: Sequence[Placements]) -> float:
    """Mean AUC of the first score over findings."""
    return float(np.mean([one.auc[0] for one in placed]))


def macro_estimate(placed: Sequence[Placements], influence: np.ndarray, patients: np.ndarray | None) -> Estimate:
    """Mean AUC with its interval on the logit scale; `influence` (N,) is `macro_influence`, `patients` (N,) are codes."""
    value = macro_auc(placed)
    variance = float(covariance(influence[:, None], patients)[0, 0])
    if variance <= 0 or not 0 < value < 1:
        return Estimate(value=value, reason="no interval: every finding is perfectly separated")
    half = Z * np.sqrt(variance) / (value * (1 - value))
    return Estimate(value=value, low=float(expit(logit(value) - half)), high=float(expit(logit(value) + half)))
