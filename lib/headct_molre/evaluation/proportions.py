"""Sensitivity, specificity and predictive values at a frozen operating point."""

from __future__ import annotations

import numpy as np
from pydantic import FiniteFloat

from ..data.cohort.stats import wilson_interval
from ..schema import Contract
from .cases import MINIMUM_CASES, cases_of
from .estimate import Estimate, NotEstimable


class OperatingResult(Contract):
    """Performance at the frozen operating point; PPV and NPV are those of the cohort, and of a site's prevalence where one was given."""

    operating_point: FiniteFloat | None
    flagged: int | None
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    site_prevalence: FiniteFloat | None = None
    site_ppv: Estimate | None = None
    site_npv: Estimate | None = None


def wilson(successes: int, trials: int, reason: str = "no study to count") -> Estimate:
    """A proportion with Wilson's score interval (Journal of the American Statistical Association 22 (1927) 209)."""
    if trials == 0:
        return Estimate(value=None, reason=reason)
    low, high = wilson_interval(np.array(successes), np.array(trials))
    return Estimate(value=successes / trials, low=float(low), high=float(high))


def at_operating_point(
    truth: np.ndarray, probability: np.ndarray, point: float | None, prevalence: float | None = None, minimum: int = MINIMUM_CASES
) -> OperatingResult:
    """What flagging at `point` does on one finding; `truth` (N,) of 1, 0 and NaN, `probability` (N,), flagged from `point` on.

    `prevalence` is a site's own: predictive values follow from it by Bayes' rule.
    """
    cases = cases_of(truth, probability, minimum=minimum)
    if point is None or isinstance(cases, NotEstimable):
        reason = cases.reason if isinstance(cases, NotEstimable) else "no frozen operating point"
        none = Estimate(value=None, reason=reason)
        site = None if prevalence is None else none
        return OperatingResult(
            operating_point=point,
            flagged=None,
            sensitivity=none,
            specificity=none,
            ppv=none,
            npv=none,
            site_prevalence=prevalence,
            site_ppv=site,
            site_npv=site,
        )
    flagged, positive = cases.scores[:, 0] >= point, cases.positive
    true_positives, true_negatives = int((flagged & positive).sum()), int((~flagged & ~positive).sum())
    sensitivity = wilson(true_positives, int(positive.sum()))
    specificity = wilson(true_negatives, int((~positive).sum()))
    return OperatingResult(
        operating_point=point,
        flagged=int(flagged.sum()),
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=wilson(true_positives, int(flagged.sum()), "no study is flagged"),
        npv=wilson(true_negatives, int((~flagged).sum()), "every study is flagged"),
        site_prevalence=prevalence,
        site_ppv=None if prevalence is None else predictive_value(sensitivity, specificity, prevalence),
        site_npv=None if prevalence is None else predictive_value(specificity, sensitivity, 1 - prevalence),
    )


def predictive_value(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> Estimate:
    """PPV at a prevalence by Bayes' rule; NPV with the two swapped and 1 - prevalence.

    The interval takes both proportions at the same ends of their Wilson intervals, and is wider than 95 % for it.
    """

    def value(hits: float, rejections: float) -> float | None:
        right, wrong = hits * prevalence, (1 - rejections) * (1 - prevalence)
        return right / (right + wrong) if right + wrong > 0 else None

    ends = [(sensitivity.value, specificity.value), (sensitivity.low, specificity.low), (sensitivity.high, specificity.high)]
    point, low, high = (None if a is None or b is None else value(a, b) for a, b in ends)
    if point is None:
        return Estimate(value=None, reason=sensitivity.reason or specificity.reason or "nothing is flagged")
    if low is None or high is None:
        return Estimate(value=point, reason="no interval: one of its ends is undefined")
    return Estimate(value=point, low=low, high=high)
