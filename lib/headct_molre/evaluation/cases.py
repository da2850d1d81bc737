"""The studies that count for one finding: assessed, enough of either kind, and scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidRequest
from .estimate import NotEstimable

# Fewer positives or negatives than this say nothing about a ranking.
MINIMUM_CASES = 5


@dataclass(frozen=True)
class Cases:
    """Assessed studies of one finding: their `rows` (n,), whether each is `positive` (n,), and k `scores` (n, k)."""

    rows: np.ndarray
    positive: np.ndarray
    scores: np.ndarray


def cases_of(truth: np.ndarray, *scores: np.ndarray, minimum: int = MINIMUM_CASES) -> Cases | NotEstimable:
    """The cases of one finding under k scores, or why there is nothing to estimate.

    `truth` (N,) holds 1, 0 and NaN for not assessed; each score is (N,). Studies that were not assessed are left out; one that was
    assessed and has no finite score is not, because leaving out what a model fails on would flatter it.
    Raises InvalidRequest for another value of truth.
    """
    truth = np.asarray(truth, np.float64)
    rows = np.flatnonzero(~np.isnan(truth))
    known = truth[rows]
    if not np.isin(known, (0.0, 1.0)).all():
        raise InvalidRequest("invalid_labels", "Truth must be 1, 0 or NaN for not assessed; mask uncertain states.", field="truth")
    positive = known == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if len(rows) == 0:
        return NotEstimable("no study was assessed for this finding")
    for count, kind in ((positives, "positive"), (negatives, "negative")):
        if count < minimum:
            return NotEstimable(f"{count} {kind} {'study' if count == 1 else 'studies'}, at least {minimum} are needed")
    table = np.stack([np.asarray(score, np.float64)[rows] for score in scores], axis=1)
    finite = np.isfinite(table).all(0)
    if not finite.all():
        missing = int((~np.isfinite(table)).any(1).sum())
        if missing == len(rows):
            return NotEstimable("the model gives no score for this finding")
        return NotEstimable(f"{missing} of {len(rows)} assessed studies have no finite score")
    if (table == table[0]).all(0).any():
        return NotEstimable("every study has the same score")
    return Cases(rows, positive, table)
