"""One model against another over several seeds of training: the mean difference, with the patients as what could have been others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .auc import finding_placements
from .bootstrap import REPLICATES, bootstrap, interval, mean_over_findings
from .delong import Placements
from .estimate import Estimate


def mean_difference(
    truth: np.ndarray,
    scores: Sequence[np.ndarray],
    against: Sequence[np.ndarray],
    patients: np.ndarray,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """Macro AUC of the model less that of the other, each the mean over its seeds; truth and each score are (N, F), patients (N,) names.

    The interval holds the seeds as they are and resamples patients, each replicate the same for all seeds of both. Null with the reason
    where no finding is estimable under all of them.
    """
    everything = (*scores, *against)
    placed = finding_placements(truth, *everything)
    columns = [column for column, one in enumerate(placed) if isinstance(one, Placements)]
    aucs = np.array([one.auc for one in placed if isinstance(one, Placements)]).reshape(len(columns), len(everything))
    ours = len(scores)
    point = float((aucs[:, :ours].mean(1) - aucs[:, ours:].mean(1)).mean()) if columns else None
    drawn = bootstrap(truth, everything, patients, replicates, seed).auc[:, columns]
    differences = drawn[:ours].mean(0) - drawn[ours:].mean(0)
    return interval(differences, mean_over_findings, point, "no finding is estimable under both models")
