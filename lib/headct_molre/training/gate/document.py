"""The gate's report as JSON (`headct.gate/1`): every number that was judged, what it was judged by, and the outcome in sentences."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, FiniteFloat

from ...evaluation.comparison import Comparison
from ...evaluation.estimate import Estimate
from ...models.version_diff import VersionDiff
from ...schema import Contract, ModelCard
from .policy import GatePolicy

CAUTION = (
    "Research software, not a medical device. The gate compares two versions of one model on the studies that were held out here; it does "
    "not say how either would do elsewhere, nor that a finding that is not flagged is ruled out."
)
Outcome = Literal["promote", "hold", "reject"]
Verdict = Literal["not_inferior", "worse", "not_shown", "mean_only", "no_data"]


class JudgedVersion(Contract):
    """One of the two versions."""

    version: str
    weights_sha256: str
    demo: bool


class Reason(Contract):
    """Why the outcome is what it is: `weighs` is the outcome that this reason asks for."""

    code: str
    sentence: str
    weighs: Outcome


class Difference(Contract):
    """Mean AUC over findings, candidate less champion, on the same studies.

    `low` to `high` reaches from the quantile alpha to 1 - alpha, by DeLong's method over findings and patients with Student's t;
    `smallest_detectable` is the true difference that these data show with the policy's power, from the variance that was observed.
    All are null, with the reason, where there is nothing to compare.
    """

    findings: int
    champion_auc: FiniteFloat | None = None
    candidate_auc: FiniteFloat | None = None
    value: FiniteFloat | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    standard_error: FiniteFloat | None = None
    degrees_of_freedom: FiniteFloat | None = None
    smallest_detectable: FiniteFloat | None = None
    reason: str | None = None


class Sample(Contract):
    """The studies that were judged on."""

    studies: int
    patients: int
    labels: int
    difference: Difference


class FindingVerdict(Contract):
    """One finding on the held-out corrections.

    "not_inferior" and "worse" hold for all common findings at once (Holm), "not_shown" is neither; "mean_only" has too few positives or
    negatives to be judged by itself and counts in the mean; of "no_data" nothing can be said.
    """

    key: str
    positives: int
    negatives: int
    verdict: Verdict
    difference: FiniteFloat | None
    smallest_detectable: FiniteFloat | None
    sentence: str


class CalibrationMeasure(Contract):
    """One measure of miscalibration, mean over findings; `worse` where it grew by more than the margin."""

    name: str
    champion: FiniteFloat
    candidate: FiniteFloat
    margin: FiniteFloat
    worse: bool


class CalibrationJudgement(Contract):
    """Both versions' calibrated probabilities against the labels; no measures, and a reason, where nothing is calibrated in both."""

    findings: int
    measures: list[CalibrationMeasure]
    reason: str | None = None


class ReaderCheck(Contract):
    """The champion's mean AUC against one reader's labels, and against those of all others on the same findings."""

    reader: str
    studies: int
    findings: int
    auc: FiniteFloat | None
    auc_others: FiniteFloat | None
    unlike_others: bool
    sentence: str


class LabelCheck(Contract):
    """Whether the labels can be meant as they stand, judged by the champion.

    Confident calls are those at a calibrated probability of at least 0.9 or at most 0.1. `contradicted` are findings that the champion
    ranks worse than chance (Holm); `turned_round` where all labels together are.
    """

    champion_auc: Estimate
    present_calls: int
    present_confirmed: int
    absent_calls: int
    absent_confirmed: int
    contradicted: list[str]
    turned_round: bool
    readers: list[ReaderCheck]


class GateReport(Contract):
    """What the gate found and decided (`headct.gate/1`). Finite numbers only; what is null has a reason beside it."""

    schema_: Literal["headct.gate/1"] = Field("headct.gate/1", alias="schema")
    created: str
    software: str
    caution: str = CAUTION
    model: str
    champion: JudgedVersion
    candidate: JudgedVersion
    policy: GatePolicy
    outcome: Outcome
    reasons: list[Reason]
    summary: list[str]
    modifications: VersionDiff
    corrections: Sample
    common: Difference
    source: Sample | None
    calibration: CalibrationJudgement
    labels: LabelCheck
    findings: list[FindingVerdict]
    comparison: Comparison

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    @property
    def promotes_by_itself(self) -> bool:
        """Whether the candidate is to be promoted without asking anybody."""
        return self.outcome == "promote" and self.policy.decision == "automatic"

    def to_json(self) -> str:
        """The document as it is written to `gate.json`."""
        return self.model_dump_json(by_alias=True, indent=1)


def judged_version(card: ModelCard) -> JudgedVersion:
    """How a report names a version."""
    return JudgedVersion(version=card.version, weights_sha256=card.weights_sha256, demo=card.demo)
