"""The paper's views of an evaluation: mean and spread over findings, findings above 0.9, means by category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import FiniteFloat

from ..findings import CATEGORIES, finding
from ..schema import Contract
from .bootstrap import Replicates, interval, mean_over_findings
from .comparison import HIGH_AUC
from .estimate import Estimate

NOTHING = "no finding is estimable"


class CategorySummary(Contract):
    """Mean AUC over the estimable findings of one category, and their standard deviation where there are two."""

    name: str
    findings: int
    estimable: int
    macro_auc: Estimate
    sd_auc: FiniteFloat | None


class Summary(Contract):
    """What one line can say of a model on a cohort; all means are over estimable findings.

    `above_090` counts AUCs above 0.9 by point, `above_090_by_lower_bound` those whose whole interval is. `left_out` is the share of
    findings and replicates in which none of a finding's positives or negatives was drawn.
    """

    findings_estimable: int
    macro_auc: Estimate
    sd_auc: FiniteFloat | None
    median_auc: FiniteFloat | None
    mean_average_precision: Estimate
    above_090: Estimate
    above_090_by_lower_bound: int
    categories: list[CategorySummary]
    left_out: FiniteFloat


def summarise(keys: Sequence[str], auc: Sequence[Estimate], precision: Sequence[Estimate], drawn: Replicates) -> Summary:
    """The summary of F findings in the order of `keys`, with intervals from the replicates of one score."""
    values = np.array([np.nan if one.value is None else one.value for one in auc])
    known = ~np.isnan(values)
    precisions = [one.value for one in precision if one.value is not None]
    return Summary(
        findings_estimable=int(known.sum()),
        macro_auc=_macro(values, drawn.auc[0], np.flatnonzero(known)),
        sd_auc=_spread(values[known]),
        median_auc=float(np.median(values[known])) if known.any() else None,
        mean_average_precision=interval(
            drawn.precision[0], mean_over_findings, float(np.mean(precisions)) if precisions else None, NOTHING
        ),
        above_090=interval(drawn.auc[0], _count_high, float((values[known] > HIGH_AUC).sum()) if known.any() else None, NOTHING),
        above_090_by_lower_bound=sum(one.low is not None and one.low > HIGH_AUC for one in auc),
        categories=[_category(name, keys, values, drawn.auc[0]) for name in CATEGORIES],
        left_out=drawn.left_out,
    )


def _category(name: str, keys: Sequence[str], values: np.ndarray, drawn: np.ndarray) -> CategorySummary:
    members = np.array([column for column, key in enumerate(keys) if finding(key).category == name], int)
    estimable = members[~np.isnan(values[members])]
    return CategorySummary(
        name=name,
        findings=len(members),
        estimable=len(estimable),
        macro_auc=_macro(values, drawn, estimable),
        sd_auc=_spread(values[estimable]),
    )


def _macro(values: np.ndarray, drawn: np.ndarray, columns: np.ndarray) -> Estimate:
    return interval(drawn[columns], mean_over_findings, float(values[columns].mean()) if len(columns) else None, NOTHING)


def _spread(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _count_high(drawn: np.ndarray) -> np.ndarray:
    return np.asarray((np.nan_to_num(drawn) > HIGH_AUC).sum(0), np.float64)
