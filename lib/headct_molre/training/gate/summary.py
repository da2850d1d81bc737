"""The gate's report in a few plain sentences, for a screen that has no room for tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .document import Outcome, Reason
from .outcome import Evidence

HEADLINES: dict[Outcome, str] = {
    "promote": "The candidate {after} is better than {before} and may take its place.",
    "hold": "The candidate {after} waits: {before} goes on serving.",
    "reject": "The candidate {after} is rejected: {before} goes on serving.",
}


def summary_of(outcome: Outcome, reasons: Sequence[Reason], evidence: Evidence) -> list[str]:
    """The outcome, why, by how much better, on how many studies, and where there was no data to judge."""
    headline = HEADLINES[outcome].format(before=evidence.diff.before, after=evidence.diff.after)
    why = [reason.sentence for reason in reasons if reason.weighs != "promote"]
    return [headline, *why, *_measured(evidence), "Research software, not a medical device."]


def _measured(evidence: Evidence) -> Iterator[str]:
    sample, policy = evidence.corrections, evidence.policy
    difference = sample.difference
    on = f"{sample.studies} held-out studies of {sample.patients} patients"
    if difference.value is not None:
        change = "unchanged" if difference.value == 0 else f"{abs(difference.value):.3f} {'higher' if difference.value > 0 else 'lower'}"
        yield (
            f"On {on}, the mean AUC over {difference.findings} findings is {change}: {difference.champion_auc:.3f} before, "
            f"{difference.candidate_auc:.3f} after ({100 * (1 - 2 * policy.alpha):.0f} % interval of the change {difference.low:+.3f} to "
            f"{difference.high:+.3f})."
        )
        seen = f"would have been seen in {100 * policy.power:.0f} % of cases, a smaller one less often"
        yield f"A change of {difference.smallest_detectable:.3f} {seen}."
    silent = sum(one.verdict == "no_data" for one in evidence.findings)
    if silent:
        yield f"Of {silent} of {len(evidence.findings)} findings nothing can be said: too few held-out studies show them, or do not."
    if evidence.source is None:
        yield "There is no source set here: whether the candidate lost something elsewhere was not tested."
    elif evidence.source.difference.value is not None:
        there = evidence.source.difference
        yield (
            f"On {evidence.source.studies} studies of the source set, the mean AUC over {there.findings} findings changes by "
            f"{there.value:+.3f} ({there.low:+.3f} to {there.high:+.3f})."
        )
