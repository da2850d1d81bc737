"""Area under the ROC curve of each finding, and what follows from many of them."""

from __future__ import annotations

import numpy as np

from .cases import MINIMUM_CASES, cases_of
from .delong import Placements, auc_estimates, placements
from .estimate import Estimate, NotEstimable


def finding_auc(truth: np.ndarray, score: np.ndarray, minimum: int = MINIMUM_CASES) -> float | None:
    """AUC of one finding, or None ("not estimable") where `cases_of` says why not.

    `truth` (N,) holds 1, 0 and NaN for not assessed; `score` (N,) any monotone score.
    """
    cases = cases_of(truth, score, minimum=minimum)
    return None if isinstance(cases, NotEstimable) else float(placements(cases).auc[0])


def mean_auc(aucs: list[float | None]) -> float | None:
    """Mean over the estimable findings, or None if there is none."""
    known = [auc for auc in aucs if auc is not None]
    return float(np.mean(known)) if known else None


def auc_estimate(truth: np.ndarray, score: np.ndarray, patients: np.ndarray | None = None, minimum: int = MINIMUM_CASES) -> Estimate:
    """AUC of one finding with its 95 % interval; arrays are (N,), `patients` are codes from 0 where a patient may have several studies."""
    cases = cases_of(truth, score, minimum=minimum)
    return cases.estimate if isinstance(cases, NotEstimable) else auc_estimates(placements(cases), patients)[0]


def finding_placements(truth: np.ndarray, *scores: np.ndarray, minimum: int = MINIMUM_CASES) -> list[Placements | NotEstimable]:
    """Placements of each finding under k scores, or why there are none; truth and scores are (N, F)."""
    result: list[Placements | NotEstimable] = []
    for column in range(truth.shape[1]):
        cases = cases_of(truth[:, column], *(score[:, column] for score in scores), minimum=minimum)
        result.append(cases if isinstance(cases, NotEstimable) else placements(cases))
    return result


def patient_codes(patients: np.ndarray) -> np.ndarray | None:
    """A code from 0 for each study's patient (N,), or None where no patient has two studies and nothing needs summing."""
    unique, codes = np.unique(patients, return_inverse=True)
    return None if len(unique) == len(patients) else codes
