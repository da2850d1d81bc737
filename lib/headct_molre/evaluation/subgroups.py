"""AUC by site, scanner, slice thickness, sex and age, each group against all other studies on the same findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.cohort import CohortStudy
from ..data.cohort.groups import GROUPINGS, group_order
from ..schema import Contract
from .auc import finding_placements, patient_codes
from .delong import Placements, auc_estimates, covariance
from .estimate import Estimate, NotEstimable, Z
from .macro import macro_auc, macro_estimate, macro_influence

NOT_STATED = "not stated"


class SubgroupFinding(Contract):
    """One finding in one group."""

    key: str
    positives: int
    negatives: int
    auc: Estimate


class SubgroupResult(Contract):
    """One group of studies; `macro_auc`, `elsewhere` and `difference` are over the findings that are estimable in it and outside it."""

    dimension: str
    group: str
    studies: int
    patients: int
    findings_compared: int
    macro_auc: Estimate
    elsewhere: Estimate
    difference: Estimate
    findings: list[SubgroupFinding]


def groups(studies: Sequence[CohortStudy]) -> list[tuple[str, str, np.ndarray]]:
    """Dimension, group and whether each study (N,) belongs to it; dimensions of which no study says anything are left out."""
    result = []
    for dimension, value in GROUPINGS.items():
        values = np.array([value(study) or NOT_STATED for study in studies])
        names = sorted(set(values.tolist()), key=lambda name: (name == NOT_STATED, group_order(name)))
        if names not in ([], [NOT_STATED]):
            result += [(dimension, name, values == name) for name in names]
    return result


def subgroup_results(
    studies: Sequence[CohortStudy], truth: np.ndarray, scores: np.ndarray, patients: np.ndarray, keys: Sequence[str]
) -> list[SubgroupResult]:
    """Every group of the cohort; truth of 1, 0 and NaN and scores are (N, F), `patients` (N,) names."""
    codes = patient_codes(patients)
    return [_result(dimension, name, inside, truth, scores, patients, codes, keys) for dimension, name, inside in groups(studies)]


def _result(
    dimension: str,
    name: str,
    inside: np.ndarray,
    truth: np.ndarray,
    scores: np.ndarray,
    patients: np.ndarray,
    codes: np.ndarray | None,
    keys: Sequence[str],
) -> SubgroupResult:
    rows, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    own_codes = None if codes is None else codes[rows]
    placed = finding_placements(truth[rows], scores[rows])
    rest = finding_placements(truth[others], scores[others]) if len(others) else [NotEstimable("every study is in this group")] * len(keys)
    findings = [
        SubgroupFinding(
            key=key,
            positives=int((truth[rows, column] == 1).sum()),
            negatives=int((truth[rows, column] == 0).sum()),
            auc=one.estimate if isinstance(one, NotEstimable) else auc_estimates(one, own_codes)[0],
        )
        for column, (key, one) in enumerate(zip(keys, placed, strict=True))
    ]
    macro, elsewhere, difference, compared = _against_rest(placed, rest, rows, others, codes, len(inside))
    return SubgroupResult(
        dimension=dimension,
        group=name,
        studies=len(rows),
        patients=len(np.unique(patients[rows])),
        findings_compared=compared,
        macro_auc=macro,
        elsewhere=elsewhere,
        difference=difference,
        findings=findings,
    )


def _against_rest(
    placed: Sequence[Placements | NotEstimable],
    rest: Sequence[Placements | NotEstimable],
    rows: np.ndarray,
    others: np.ndarray,
    codes: np.ndarray | None,
    size: int,
) -> tuple[Estimate, Estimate, Estimate, int]:
    """Macro AUC inside, outside, their difference, and over how many findings."""
    if not len(others):
        own = [one for one in placed if isinstance(one, Placements)]
        none = Estimate(value=None, reason="every study is in this group")
        if not own:
            return Estimate(value=None, reason="no finding has enough positives and negatives"), none, none, 0
        return macro_estimate(own, macro_influence(own, rows, size), codes), none, none, len(own)
    pairs = [(a, b) for a, b in zip(placed, rest, strict=True) if isinstance(a, Placements) and isinstance(b, Placements)]
    if not pairs:
        none = Estimate(value=None, reason="no finding has enough positives and negatives inside and outside of this group")
        return none, none, none, 0
    inside, outside = [a for a, _ in pairs], [b for _, b in pairs]
    here, there = macro_influence(inside, rows, size), macro_influence(outside, others, size)
    value = macro_auc(inside) - macro_auc(outside)
    half = Z * float(np.sqrt(covariance((here - there)[:, None], codes)[0, 0]))
    difference = (
        Estimate(value=value, low=max(value - half, -1.0), high=min(value + half, 1.0))
        if half > 0
        else Estimate(value=value, reason="no interval: every finding is perfectly separated")
    )
    return macro_estimate(inside, here, codes), macro_estimate(outside, there, codes), difference, len(pairs)
