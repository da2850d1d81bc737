"""The rules of the gate: which evidence asks for which outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...findings import finding
from ...models.version_diff import VersionDiff
from .document import CalibrationJudgement, Difference, FindingVerdict, LabelCheck, Outcome, Reason, Sample
from .policy import GatePolicy


@dataclass(frozen=True)
class Evidence:
    """Everything that the rules look at."""

    policy: GatePolicy
    diff: VersionDiff
    corrections: Sample
    common: Difference
    source: Sample | None
    calibration: CalibrationJudgement
    labels: LabelCheck
    findings: list[FindingVerdict]
    unscored: list[str]  # findings that the champion's scores can be judged in, and the candidate's cannot


def outcome_of(reasons: Sequence[Reason]) -> Outcome:
    """One reason to reject rejects, else one to hold holds; only without either is a candidate promoted."""
    asked = {reason.weighs for reason in reasons}
    return "reject" if "reject" in asked else "hold" if "hold" in asked else "promote"


def reasons_of(evidence: Evidence) -> list[Reason]:
    """All reasons, those to reject first."""
    found = [*_labels(evidence), *_corrections(evidence), *_findings(evidence), *_source(evidence), *_versions(evidence)]
    return sorted(found, key=lambda reason: ("reject", "hold", "promote").index(reason.weighs))


def _labels(evidence: Evidence) -> Iterator[Reason]:
    labels = evidence.labels
    if labels.turned_round:
        yield Reason(
            code="labels_contradict",
            sentence="The held-out corrections contradict the champion even where it is sure: labels that are turned round, or of other "
            "studies. Neither they nor what was learned from their like can be trusted.",
            weighs="reject",
        )
    elif labels.contradicted:
        yield Reason(
            code="labels_contradict_findings",
            sentence=f"The champion ranks these findings worse than chance: {_names(labels.contradicted)}. Check how they were labelled.",
            weighs="hold",
        )
    unlike = [check for check in labels.readers if check.unlike_others]
    if unlike:
        yield Reason(
            code="reader_unlike_others",
            sentence=" ".join(check.sentence for check in unlike) + " Look at these corrections before anything learns from them.",
            weighs="hold",
        )


def _corrections(evidence: Evidence) -> Iterator[Reason]:
    sample, policy, difference = evidence.corrections, evidence.policy, evidence.corrections.difference
    if sample.studies < policy.minimum_studies:
        yield Reason(
            code="too_few_studies",
            sentence=f"Too few: {sample.studies} held-out {'study' if sample.studies == 1 else 'studies'}, at least "
            f"{policy.minimum_studies} are needed to judge a candidate.",
            weighs="hold",
        )
        return
    if difference.value is None or difference.findings < policy.minimum_findings:
        yield Reason(
            code="no_data_to_judge",
            sentence=f"No data to judge: {difference.findings} of {len(evidence.findings)} findings have {policy.minimum_cases} held-out "
            f"studies with and {policy.minimum_cases} without them, at least {policy.minimum_findings} findings are needed.",
            weighs="hold",
        )
        return
    assert difference.low is not None
    assert difference.high is not None
    if difference.high < 0:
        yield Reason(code="worse", sentence=f"The candidate is worse on the held-out corrections: {in_words(difference)}.", weighs="reject")
    elif difference.low > 0:
        yield Reason(
            code="better", sentence=f"The candidate is better on the held-out corrections: {in_words(difference)}.", weighs="promote"
        )
    else:
        yield Reason(
            code="not_better",
            sentence=f"It is not shown that the candidate is better: {in_words(difference)}. A difference below "
            f"{difference.smallest_detectable:.4f} would mostly go unseen with these studies.",
            weighs="hold",
        )


def _findings(evidence: Evidence) -> Iterator[Reason]:
    policy, common = evidence.policy, evidence.common
    worse = [one for one in evidence.findings if one.verdict == "worse"]
    if worse:
        yield Reason(
            code="common_finding_worse",
            sentence=f"Common findings got worse by more than {policy.margin_common:g}: {_names([one.key for one in worse])}.",
            weighs="reject",
        )
    if common.low is not None and common.low <= -policy.margin_common_mean:
        yield Reason(
            code="common_not_shown",
            sentence=f"It is not shown that common findings lose less than {policy.margin_common_mean:g}: {in_words(common)}.",
            weighs="hold",
        )
    measures = [one for one in evidence.calibration.measures if one.worse]
    if measures:
        named = ", ".join(f"{one.name} {one.champion:.3f} to {one.candidate:.3f}" for one in measures)
        yield Reason(code="calibration_worse", sentence=f"The candidate is calibrated worse: {named}.", weighs="hold")


def _source(evidence: Evidence) -> Iterator[Reason]:
    policy = evidence.policy
    if evidence.source is None:
        if policy.source_required:
            sentence = "There is no source set, and the policy asks for one: a loss elsewhere could not be seen."
            yield Reason(code="source_missing", sentence=sentence, weighs="hold")
        return
    difference = evidence.source.difference
    if difference.low is None or difference.high is None:
        yield Reason(code="source_no_data", sentence=f"The source set gives no data to judge by: {difference.reason}.", weighs="hold")
    elif difference.high < -policy.margin_source:
        yield Reason(
            code="source_worse",
            sentence=f"The candidate lost what the champion could do on the source set: {in_words(difference)}.",
            weighs="reject",
        )
    elif difference.low <= -policy.margin_source:
        yield Reason(
            code="source_not_shown",
            sentence=f"It is not shown that the loss on the source set is below {policy.margin_source:g}: {in_words(difference)}.",
            weighs="hold",
        )


def _versions(evidence: Evidence) -> Iterator[Reason]:
    lost = list(dict.fromkeys([*evidence.diff.findings_lost, *evidence.diff.called_lost]))
    if lost:
        yield Reason(code="findings_lost", sentence=f"The candidate no longer makes a call of: {_names(lost)}.", weighs="hold")

    if evidence.unscored:
        sentence = f"The candidate gives no score that could be judged for: {_names(evidence.unscored)}."
        yield Reason(code="scores_missing", sentence=sentence, weighs="hold")


def in_words(difference: Difference) -> str:
    """The difference of mean AUC with its interval, as part of a sentence."""
    return (
        f"mean AUC over {difference.findings} findings {difference.champion_auc:.4f} to {difference.candidate_auc:.4f}, "
        f"{difference.value:+.4f} with an interval from {difference.low:+.4f} to {difference.high:+.4f}"
    )


def _names(keys: Sequence[str], most: int = 5) -> str:
    """Names of findings, the first few."""
    named = ", ".join(finding(key).display_name for key in keys[:most])
    return named if len(keys) <= most else f"{named} and {len(keys) - most} more"
