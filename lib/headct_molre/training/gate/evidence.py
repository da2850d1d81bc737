"""Differences between candidate and champion: the mean over findings, and each common finding by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from ...evaluation.auc import finding_placements
from ...evaluation.delong import Placements
from ...evaluation.estimate import NotEstimable
from ...evaluation.multiplicity import holm
from ...findings import finding, finding_keys
from .document import Difference, FindingVerdict, Verdict
from .held_out import HeldOut
from .policy import GatePolicy

# Below this an error is rounding: both versions rank the studies alike.
NO_ERROR = 1e-12


@dataclass(frozen=True)
class Contrast:
    """A difference with its standard error and the degrees of freedom of Student's t."""

    value: float
    error: float
    freedom: float

    def quantile(self, probability: float) -> float:
        """The quantile of the difference's distribution around its value."""
        return self.value + self.error * float(stdtrit(self.freedom, probability))

    def p_above(self, limit: float) -> float:
        """One-sided p of "the true difference is not above `limit`": small where it is above."""
        return float(stdtr(self.freedom, -(self.value - limit) / max(self.error, NO_ERROR)))

    def p_below(self, limit: float) -> float:
        """One-sided p of "the true difference is not below `limit`": small where it is below."""
        return float(stdtr(self.freedom, (self.value - limit) / max(self.error, NO_ERROR)))

    def smallest_detectable(self, alpha: float, power: float) -> float:
        """The true difference that a one-sided test at `alpha` finds with this power."""
        return self.error * float(stdtrit(self.freedom, 1 - alpha) + stdtrit(self.freedom, power))


def contrast_of(value: float, influence: np.ndarray, codes: np.ndarray | None) -> Contrast:
    """A difference from each study's part (N,) in its error; parts of one patient are added before they are squared.

    The degrees of freedom are the patients who carry the variance, (sum u^2)^2 / sum u^4: where a few positives make up most of it, the
    many other studies do not make it better known.
    """
    parts = influence if codes is None else np.bincount(codes, weights=influence)
    square = parts**2
    variance = float(square.sum())
    freedom = variance**2 / float((square**2).sum()) if variance > NO_ERROR**2 else 1.0
    return Contrast(value, float(np.sqrt(variance)), freedom)


def paired_placements(held: HeldOut, policy: GatePolicy) -> list[Placements | NotEstimable]:
    """Placements of each finding under candidate and champion, in this order, or why there are none."""
    return finding_placements(held.truth, held.candidate, held.champion, minimum=policy.minimum_cases)


def mean_contrast(placed: Sequence[Placements], held: HeldOut) -> Contrast:
    """Mean AUC over these findings, candidate less champion."""
    influence = np.zeros(len(held))
    for one in placed:
        influence[one.cases.rows] += (one.influence[:, 0] - one.influence[:, 1]) / len(placed)
    return contrast_of(float(np.mean([one.auc[0] - one.auc[1] for one in placed])), influence, held.codes)


def mean_difference(placed: Sequence[Placements | NotEstimable], held: HeldOut, policy: GatePolicy, nothing: str) -> Difference:
    """Mean AUC over the findings that are estimable, as the report states it; `nothing` is the reason where none is."""
    judged = [one for one in placed if isinstance(one, Placements)]
    if not judged:
        return Difference(findings=0, reason=nothing)
    contrast = mean_contrast(judged, held)
    return Difference(
        findings=len(judged),
        champion_auc=float(np.mean([one.auc[1] for one in judged])),
        candidate_auc=float(np.mean([one.auc[0] for one in judged])),
        value=contrast.value,
        low=contrast.quantile(policy.alpha),
        high=contrast.quantile(1 - policy.alpha),
        standard_error=contrast.error,
        degrees_of_freedom=contrast.freedom,
        smallest_detectable=contrast.smallest_detectable(policy.alpha, policy.power),
    )


def common_findings(placed: Sequence[Placements | NotEstimable], policy: GatePolicy) -> list[Placements]:
    """Those with enough positives and negatives to be judged by themselves."""
    return [one for one in placed if isinstance(one, Placements) and one.rarer >= policy.common_positives]


def finding_verdicts(placed: Sequence[Placements | NotEstimable], held: HeldOut, policy: GatePolicy) -> list[FindingVerdict]:
    """What can be said of each finding, in taxonomy order.

    Of common ones two things are tested, each over all of them at once (Holm): that the loss is below the margin, and that there is a loss.
    One is "worse" where a loss is shown and is larger than the margin as it was measured.
    """
    contrasts = {column: _contrast(one, held) for column, one in enumerate(placed) if isinstance(one, Placements)}
    common = [column for column, one in enumerate(placed) if isinstance(one, Placements) and one.rarer >= policy.common_positives]
    spared, lost = (
        dict(zip(common, holm(np.array(p)), strict=True))
        for p in (
            [contrasts[column].p_above(-policy.margin_common) for column in common],
            [contrasts[column].p_below(0.0) for column in common],
        )
    )
    verdicts = []
    for column, (key, one) in enumerate(zip(finding_keys(), placed, strict=True)):
        contrast = contrasts.get(column)
        verdict: Verdict = "no_data"
        if isinstance(one, NotEstimable):
            said = f"no data to judge, {one.reason}"
        else:
            verdict, judged = _verdict(contrasts[column], spared.get(column), lost.get(column), policy)
            said = f"AUC {one.auc[1]:.3f} to {one.auc[0]:.3f}, {judged}"
        positives, negatives = (int((held.truth[:, column] == state).sum()) for state in (1, 0))
        verdicts.append(
            FindingVerdict(
                key=key,
                positives=positives,
                negatives=negatives,
                verdict=verdict,
                difference=None if contrast is None else contrast.value,
                smallest_detectable=None if contrast is None else contrast.smallest_detectable(policy.alpha, policy.power),
                sentence=f"{finding(key).display_name} ({positives} positive, {negatives} negative): {said}.",
            )
        )
    return verdicts


def _verdict(contrast: Contrast, spared: float | None, lost: float | None, policy: GatePolicy) -> tuple[Verdict, str]:
    """Verdict on one finding from its adjusted p, which are None where it is too rare, and how the sentence goes on."""
    if spared is None or lost is None:
        return "mean_only", "too few to be judged by itself, counts in the mean"
    if lost < policy.alpha and contrast.value < -policy.margin_common:
        return "worse", f"worse by more than {policy.margin_common:g}"
    if spared < policy.alpha:
        return "not_inferior", f"not worse by {policy.margin_common:g}"
    return "not_shown", f"a loss of {policy.margin_common:g} cannot be excluded"


def _contrast(one: Placements, held: HeldOut) -> Contrast:
    influence = np.zeros(len(held))
    influence[one.cases.rows] = one.influence[:, 0] - one.influence[:, 1]
    return contrast_of(float(one.auc[0] - one.auc[1]), influence, held.codes)
