"""Variance and interval of an AUC, and the test of two on the same studies, by DeLong's method on midranks.

DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837; computed as Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389.
Studies of one patient are not independent: their parts are summed before they are squared (Obuchowski, Biometrics 53 (1997) 567).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, expit, logit, ndtr, stdtr, stdtrit
from scipy.stats import rankdata

from .cases import Cases
from .estimate import CONFIDENCE, Estimate, Z

# Below this many cases of the rarer kind, Student's t replaces the normal distribution.
FEW_CASES = 20
# Cases of the rarer kind that are not placed perfectly, below which DeLong's variance rests on too little.
FEWEST_MISPLACED = 5


@dataclass(frozen=True)
class Placements:
    """AUC (k,) of k scores on n cases, and each case's part in its error.

    `influence` (n, k) is scaled so that its Gram matrix is DeLong's covariance. `misplaced` (k,) counts the cases of the rarer kind that
    are not on the right side of every case of the other kind.
    """

    cases: Cases
    auc: np.ndarray
    influence: np.ndarray
    misplaced: np.ndarray

    @property
    def rarer(self) -> int:
        """How many positives or negatives there are, whichever are fewer."""
        positives = int(self.cases.positive.sum())
        return min(positives, len(self.cases.positive) - positives)


@dataclass(frozen=True)
class PairedTest:
    """Difference of two AUCs on the same cases, first less second, and its two-sided p; p is None where the rankings are the same."""

    difference: Estimate
    p: float | None


def placements(cases: Cases) -> Placements:
    """The share of the other kind that each case is on the right side of, from midranks of all cases and of its own kind."""
    positive, scores = cases.positive, cases.scores
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(scores, axis=0)
    of_positives = (ranks[positive] - rankdata(scores[positive], axis=0)) / n
    of_negatives = 1 - (ranks[~positive] - rankdata(scores[~positive], axis=0)) / m
    auc = of_positives.mean(0)
    influence = np.empty_like(scores)
    influence[positive] = (of_positives - auc) / np.sqrt(m * (m - 1))
    influence[~positive] = (of_negatives - auc) / np.sqrt(n * (n - 1))
    rarer = of_positives if m <= n else of_negatives
    return Placements(cases, auc, influence, np.minimum((rarer < 1).sum(0), (rarer > 0).sum(0)))


def covariance(influence: np.ndarray, patients: np.ndarray | None = None) -> np.ndarray:
    """Covariance (k, k) of k AUCs from their influence (n, k); `patients` (n,) are codes from 0, None where every study is a patient."""
    if patients is not None:
        influence = np.stack([np.bincount(patients, weights=column) for column in influence.T], axis=1)
    return np.asarray(influence.T @ influence)


def auc_estimates(placed: Placements, patients: np.ndarray | None = None) -> list[Estimate]:
    """AUC with its interval for each of the k scores; `patients` (N,) are codes of all studies of the cohort."""
    variances = np.diag(covariance(placed.influence, _of_cases(patients, placed.cases)))
    result = []
    for column, (auc, variance) in enumerate(zip(placed.auc.tolist(), variances.tolist(), strict=True)):
        freedom = _freedom(placed, placed.influence[:, column])
        low, high = auc_interval(auc, variance, freedom, placed.rarer, int(placed.misplaced[column]))
        result.append(Estimate(value=auc, low=low, high=high))
    return result


def auc_interval(auc: float, variance: float, freedom: float | None, rarer: int, misplaced: int) -> tuple[float, float]:
    """The 95 % interval from DeLong's variance on the logit scale, where it stays between 0 and 1.

    A variance from next to nothing is no certainty. With fewer than `FEWEST_MISPLACED` imperfectly placed cases of the rarer kind, DeLong's
    interval collapses, down to no width at perfect separation; it is then widened to that of Clopper and Pearson for `rarer` pairs of
    which the share `auc` is in order. At perfect separation this is an exact bound: m x n ordered pairs contain min(m, n) ordered pairs
    without a common case, which has the probability AUC^min(m, n).
    """
    low, high = auc, auc
    if variance > 0 and 0 < auc < 1:
        half = _quantile(freedom) * np.sqrt(variance) / (auc * (1 - auc))
        low, high = float(expit(logit(auc) - half)), float(expit(logit(auc) + half))
    if misplaced >= FEWEST_MISPLACED:
        return low, high
    tail, right = (1 - CONFIDENCE) / 2, rarer * auc
    exact_low = float(betaincinv(right, rarer - right + 1, tail)) if right > 0 else 0.0
    exact_high = float(betaincinv(right + 1, rarer - right, 1 - tail)) if right < rarer else 1.0
    return min(low, exact_low), max(high, exact_high)


def paired_test(placed: Placements, patients: np.ndarray | None = None) -> PairedTest:
    """DeLong's test of the first two scores of `placed`."""
    contrast = placed.influence[:, 0] - placed.influence[:, 1]
    variance = float(covariance(contrast[:, None], _of_cases(patients, placed.cases))[0, 0])
    difference = float(placed.auc[0] - placed.auc[1])
    if variance < 1e-24:  # rounding of parts that are equal
        why = "both scores rank these studies alike" if abs(difference) < 1e-12 else "both scores separate these studies perfectly"
        return PairedTest(Estimate(value=difference, reason=f"{why}: there is no variance to judge the difference by"), None)
    freedom = _freedom(placed, contrast)
    error = np.sqrt(variance)
    half = _quantile(freedom) * error
    statistic = abs(difference) / error
    p = 2 * float(ndtr(-statistic) if freedom is None else stdtr(freedom, -statistic))
    return PairedTest(Estimate(value=difference, low=max(difference - half, -1.0), high=min(difference + half, 1.0)), p)


def _freedom(placed: Placements, influence: np.ndarray) -> float | None:
    """Satterthwaite's degrees of freedom where cases are few, as in the test of Brunner and Munzel (Biometrical Journal 42 (2000) 17)."""
    if placed.rarer >= FEW_CASES:
        return None
    positive = placed.cases.positive
    parts = [(float((influence[of_kind] ** 2).sum()), int(of_kind.sum())) for of_kind in (positive, ~positive)]
    total = sum(part for part, _ in parts)
    return total**2 / sum(part**2 / (count - 1) for part, count in parts) if total > 0 else None


def _quantile(freedom: float | None) -> float:
    return Z if freedom is None else float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _of_cases(patients: np.ndarray | None, cases: Cases) -> np.ndarray | None:
    return None if patients is None else patients[cases.rows]
