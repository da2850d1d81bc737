"""Area under the ROC curve for each finding."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

MINIMUM_CASES = 5


def finding_auc(truth: np.ndarray, score: np.ndarray, minimum: int = MINIMUM_CASES) -> float | None:
    """AUC of one finding, or None ("not estimable") below `minimum` positives or negatives.

    `truth` (N,) holds 1, 0 and NaN for not assessed; `score` (N,) any monotone score.
    """
    known = ~np.isnan(truth)
    positives = int((truth[known] == 1).sum())
    if positives < minimum or known.sum() - positives < minimum:
        return None
    return float(roc_auc_score(truth[known], score[known]))


def mean_auc(aucs: list[float | None]) -> float | None:
    """Mean over the estimable findings, or None if there is none."""
    known = [auc for auc in aucs if auc is not None]
    return float(np.mean(known)) if known else None
