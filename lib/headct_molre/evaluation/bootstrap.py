"""Resampling of patients: the AUC and the average precision of every finding in every replicate, without sorting again.

A replicate draws as many patients as there are, with replacement, each with all of its studies; a study then counts as often as its
patient was drawn. Scores are sorted once for each finding, and a replicate only changes the weights that are summed along them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from .cases import MINIMUM_CASES, Cases, cases_of
from .estimate import Estimate, NotEstimable, Z

REPLICATES = 1000
# Replicates that are computed together: their weights of 7,214 studies stay within a processor's cache.
BLOCK = 64


@dataclass(frozen=True)
class Replicates:
    """AUC and average precision (k scores, F findings, R replicates).

    NaN where a finding is not estimable in the cohort itself, and in a replicate that drew none of its positives or none of its negatives.
    """

    auc: np.ndarray
    precision: np.ndarray

    @property
    def left_out(self) -> float:
        """Share of the estimable findings' replicates that drew no positive or no negative, and do not count in that replicate's means."""
        estimable = ~np.isnan(self.auc[0]).all(1)
        return float(np.isnan(self.auc[0][estimable]).mean()) if estimable.any() else 0.0


def bootstrap(
    truth: np.ndarray,
    scores: tuple[np.ndarray, ...],
    patients: np.ndarray,
    replicates: int = REPLICATES,
    seed: int = 0,
    minimum: int = MINIMUM_CASES,
) -> Replicates:
    """Resample patients (N,) and measure each of the k scores (N, F) against truth (N, F) of 1, 0 and NaN.

    All scores see the same replicates, so that their differences are paired. The draws depend on the names of the patients and the
    seed, not on the order of the studies.
    """
    prepared: list[list[_Sorted] | None] = []
    for column in range(truth.shape[1]):
        cases = cases_of(truth[:, column], *(score[:, column] for score in scores), minimum=minimum)
        prepared.append(None if isinstance(cases, NotEstimable) else [_sorted(cases, number) for number in range(len(scores))])
    auc = np.full((len(scores), truth.shape[1], replicates), np.nan)
    precision = np.full_like(auc, np.nan)
    start = 0
    for weights in multiplicities(patients, replicates, seed):
        block = slice(start, start + weights.shape[1])
        for column, ordered in enumerate(prepared):
            for number, one in enumerate(ordered or ()):
                auc[number, column, block], precision[number, column, block] = _weighted(one, weights)
        start = block.stop
    return Replicates(auc, precision)


def interval(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], point: float | None, reason: str) -> Estimate:
    """A point with the interval of `statistic` (R,) over replicates `values` (F, R); null with the reason where there is no point.

    Efron's bias-corrected percentiles (Canadian Journal of Statistics 9 (1981) 139): resampling pulls a count of findings above a threshold
    to the middle, and means hardly at all.
    """
    if point is None:
        return Estimate(value=None, reason=reason)
    drawn = statistic(values) if values.size else np.empty(0)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return Estimate(value=point, reason="no interval: no replicates were drawn")
    if np.ptp(drawn) == 0:
        return Estimate(value=point, reason="no interval: every replicate gives the same value")
    below = ((drawn < point).mean() + (drawn <= point).mean()) / 2
    if not 0 < below < 1:
        return Estimate(value=point, reason="no interval: the value lies outside all replicates")
    low, high = np.quantile(drawn, ndtr(2 * ndtri(below) + np.array([-Z, Z])))
    return Estimate(value=point, low=float(low), high=float(high))


def mean_over_findings(values: np.ndarray) -> np.ndarray:
    """Mean (R,) over the findings (F, R) that are defined in each replicate."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(0)
    return np.divide(total, defined.sum(0), out=np.full(values.shape[1], np.nan), where=defined.any(0))


@dataclass(frozen=True)
class _Sorted:
    """One finding under one score: rows of positives and negatives by rising score, and for each positive how many are below it."""

    positives: np.ndarray
    negatives: np.ndarray
    negatives_below: np.ndarray
    negatives_up_to: np.ndarray
    positives_below: np.ndarray


def _sorted(cases: Cases, number: int) -> _Sorted:
    score = cases.scores[:, number]
    order = np.argsort(score, kind="stable")
    positives, negatives = order[cases.positive[order]], order[~cases.positive[order]]
    return _Sorted(
        cases.rows[positives],
        cases.rows[negatives],
        np.searchsorted(score[negatives], score[positives], "left"),
        np.searchsorted(score[negatives], score[positives], "right"),
        np.searchsorted(score[positives], score[positives], "left"),
    )


def multiplicities(patients: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each study is drawn (N, up to `BLOCK`) in each replicate of a block."""
    names, codes = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, BLOCK):
        draws = [
            np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names)) for _ in range(min(BLOCK, replicates - start))
        ]
        yield np.stack(draws, axis=1).astype(np.int32)[codes]


def _weighted(one: _Sorted, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC and average precision (R,) of one finding under weights (N, R)."""
    of_positives = weights[one.positives]
    negatives, positives = _running(weights[one.negatives]), _running(of_positives)
    all_positives, all_negatives = positives[-1].astype(np.float64), negatives[-1].astype(np.float64)
    below = negatives[one.negatives_below]
    twice_ordered = below + negatives[one.negatives_up_to]
    true_positives = all_positives - positives[one.positives_below]
    flagged = true_positives + (all_negatives - below)
    precision = np.divide(true_positives, flagged, out=np.zeros_like(flagged), where=flagged > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = np.einsum("ir,ir->r", of_positives, twice_ordered, dtype=np.float64) / (2 * all_positives * all_negatives)
        average_precision = np.einsum("ir,ir->r", of_positives, precision) / all_positives
    defined = (all_positives > 0) & (all_negatives > 0)
    return np.where(defined, auc, np.nan), np.where(defined, average_precision, np.nan)


def _running(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, ... rows of weights (n, R), as (n + 1, R)."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]), weights.dtype)
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums
