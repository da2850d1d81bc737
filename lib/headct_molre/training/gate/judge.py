"""The gate: may a candidate take the champion's place? Promote, hold or reject, each with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from ... import __version__
from ...evaluation.auc import finding_placements
from ...evaluation.comparison import compare
from ...evaluation.delong import Placements
from ...evaluation.estimate import NotEstimable
from ...findings import finding_keys
from ...models.version_diff import diff_cards
from ...schema import ModelCard
from .calibration import judge_calibration
from .document import GateReport, Sample, judged_version
from .evidence import common_findings, finding_verdicts, mean_difference, paired_placements
from .held_out import HeldOut
from .labels import check_labels
from .outcome import Evidence, outcome_of, reasons_of
from .policy import GatePolicy
from .summary import summary_of

NO_FINDING = "no finding has enough positive and negative studies"
NO_COMMON = "no finding has enough positive and negative studies to be judged by itself"


def judge(
    corrections: HeldOut,
    source: HeldOut | None,
    champion: ModelCard,
    candidate: ModelCard,
    policy: GatePolicy | None = None,
    created: str | None = None,
) -> GateReport:
    """Judge a candidate on corrections that neither version learned from, drawn at random, and on the set that the model came with.

    Logits are raw; the cards' calibrations make probabilities of them. The same input gives the same report, but for the time, which is
    now where `created` does not say. Raises InvalidRequest for cards of two models.
    """
    policy = policy or GatePolicy()
    placed = paired_placements(corrections, policy)
    evidence = Evidence(
        policy=policy,
        diff=diff_cards(champion, candidate),
        corrections=_sample(corrections, policy),
        common=mean_difference(common_findings(placed, policy), corrections, policy, NO_COMMON),
        source=None if source is None else _sample(source, policy),
        calibration=judge_calibration(corrections, champion.calibration, candidate.calibration, policy),
        labels=check_labels(corrections, champion.calibration, policy),
        findings=finding_verdicts(placed, corrections, policy),
        unscored=_unscored(corrections, placed, policy),
    )
    reasons = reasons_of(evidence)
    outcome = outcome_of(reasons)
    return GateReport(
        created=created or datetime.now(UTC).isoformat(timespec="seconds"),
        software=f"headct-molre {__version__}",
        model=champion.name,
        champion=judged_version(champion),
        candidate=judged_version(candidate),
        policy=policy,
        outcome=outcome,
        reasons=reasons,
        summary=summary_of(outcome, reasons, evidence),
        modifications=evidence.diff,
        corrections=evidence.corrections,
        common=evidence.common,
        source=evidence.source,
        calibration=evidence.calibration,
        labels=evidence.labels,
        findings=evidence.findings,
        comparison=compare(
            corrections.truth,
            corrections.candidate,
            corrections.champion,
            corrections.patients,
            finding_keys(),
            f"{champion.name} {champion.version}",
            policy.replicates,
            policy.seed,
            policy.margin_common_mean,
        ),
    )


def _unscored(held: HeldOut, placed: Sequence[Placements | NotEstimable], policy: GatePolicy) -> list[str]:
    """Findings that only the champion's scores can be judged in: to be silent on what it is bad at must not help a candidate."""
    alone = finding_placements(held.truth, held.champion, minimum=policy.minimum_cases)
    return [
        key
        for key, one, both in zip(finding_keys(), alone, placed, strict=True)
        if isinstance(one, Placements) and isinstance(both, NotEstimable)
    ]


def _sample(held: HeldOut, policy: GatePolicy) -> Sample:
    return Sample(
        studies=len(held),
        patients=len(np.unique(held.patients)),
        labels=int((~np.isnan(held.truth)).sum()),
        difference=mean_difference(paired_placements(held, policy), held, policy, NO_FINDING),
    )
