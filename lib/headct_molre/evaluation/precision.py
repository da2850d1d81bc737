"""Average precision: the area under the precision-recall curve as a sum over its steps, without interpolation."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score

from .cases import MINIMUM_CASES, cases_of
from .estimate import CONFIDENCE, Estimate, NotEstimable, Z


def average_precision(truth: np.ndarray, score: np.ndarray, minimum: int = MINIMUM_CASES) -> Estimate:
    """Average precision of one finding; `truth` (N,) of 1, 0 and NaN, `score` (N,). Without skill it equals the prevalence.

    The interval is the logit interval of Boyd, Eng and Page (ECML PKDD 2013, section 3.2): with eta = logit(AP) its standard error is
    1 / sqrt(positives AP (1 - AP)). They found it to cover where the bootstrap does not, which is where positives are few. At 1 it ends
    at the exact bound of a proportion, (1 - 0.95)/2 to the power of 1 / positives.
    """
    cases = cases_of(truth, score, minimum=minimum)
    if isinstance(cases, NotEstimable):
        return cases.estimate
    value = float(average_precision_score(cases.positive, cases.scores[:, 0]))
    positives = int(cases.positive.sum())
    if value >= 1:
        return Estimate(value=1.0, low=((1 - CONFIDENCE) / 2) ** (1 / positives), high=1.0)
    half = Z / np.sqrt(positives * value * (1 - value))
    return Estimate(value=value, low=float(expit(logit(value) - half)), high=float(expit(logit(value) + half)))
