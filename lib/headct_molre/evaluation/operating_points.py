"""Operating points: the probability from which a finding counts as flagged, chosen on validation studies and then frozen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidRequest
from .cases import MINIMUM_CASES, cases_of
from .estimate import NotEstimable


@dataclass(frozen=True)
class Rule:
    """How a point is chosen: `youden`, or the least that `sensitivity` or `specificity` must reach."""

    name: str
    at_least: float | None = None

    def __str__(self) -> str:
        return self.name if self.at_least is None else f"{self.name} >= {self.at_least:g}"


def parse_rule(text: str) -> Rule:
    """A rule from `youden`, `sensitivity=0.95` or `specificity=0.9`. Raises InvalidRequest for anything else."""
    name, _, number = text.replace(">=", "=").replace(" ", "").partition("=")
    if name == "youden" and not number:
        return Rule("youden")
    try:
        at_least = float(number)
    except ValueError:
        at_least = math.nan
    if name not in ("sensitivity", "specificity") or not 0 < at_least < 1:
        raise InvalidRequest(
            "invalid_rule", f"points {text!r} is not youden, sensitivity=X or specificity=X with X between 0 and 1.", field="points"
        )
    return Rule(name, at_least)


def fit_operating_points(
    truth: np.ndarray, probabilities: np.ndarray, keys: Sequence[str], rule: Rule | str = "youden"
) -> dict[str, float]:
    """The operating point of each finding that has one; truth of 1, 0 and NaN and probabilities are (N, F) in the order of `keys`.

    A finding is missing where it is not estimable (`cases_of`) or where no probability up to 1 reaches what the rule asks.
    """
    rule = parse_rule(rule) if isinstance(rule, str) else rule
    points = {}
    for column, key in enumerate(keys):
        cases = cases_of(truth[:, column], probabilities[:, column], minimum=MINIMUM_CASES)
        if not isinstance(cases, NotEstimable):
            point = operating_point(cases.positive, cases.scores[:, 0], rule)
            if point is not None:
                points[key] = point
    return points


def operating_point(positive: np.ndarray, probability: np.ndarray, rule: Rule) -> float | None:
    """The probability (n,) at or above which a study is flagged, or None where none up to 1 does what the rule asks.

    Among the points that reach the asked sensitivity (specificity) this is the one with the best specificity (sensitivity), and the
    highest where several are equal.
    """
    above_all = math.nextafter(float(probability.max()), math.inf)
    thresholds = np.unique(np.r_[probability, above_all])
    sensitivity = 1 - np.searchsorted(np.sort(probability[positive]), thresholds, "left") / positive.sum()
    specificity = np.searchsorted(np.sort(probability[~positive]), thresholds, "left") / (~positive).sum()
    if rule.name == "sensitivity":
        wanted = np.flatnonzero(sensitivity >= rule.at_least)
        best = wanted[-1] if len(wanted) else None
    elif rule.name == "specificity":
        wanted = np.flatnonzero(specificity >= rule.at_least)
        best = wanted[sensitivity[wanted] == sensitivity[wanted[0]]][-1] if len(wanted) else None
    else:
        index = (sensitivity + specificity)[:-1]  # not above all: a point that flags nothing is none
        best = len(index) - 1 - int(np.argmax(index[::-1]))
    return None if best is None or thresholds[best] > 1 else float(thresholds[best])


def youden_point(truth: np.ndarray, probability: np.ndarray) -> float:
    """The probability at which sensitivity + specificity is largest on validation studies; `truth` (N,) of 0 and 1 with both among them."""
    point = operating_point(truth == 1, probability.astype(np.float64), Rule("youden"))
    assert point is not None  # probabilities are at most 1
    return point
