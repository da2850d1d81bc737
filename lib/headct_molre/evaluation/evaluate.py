"""Evaluation of a model's scores on a cohort: every number of the report (`headct.evaluation/1`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, FiniteFloat

from .. import __version__
from ..data.cohort import Cohort
from ..errors import InvalidRequest
from ..findings import finding, finding_keys
from ..schema import Contract, ModelCard
from .auc import finding_placements, patient_codes
from .bootstrap import REPLICATES, bootstrap
from .calibration import probabilities_of
from .cases import MINIMUM_CASES
from .comparison import MARGIN, Comparison, compare
from .delong import auc_estimates
from .estimate import Estimate, NotEstimable
from .frozen import Frozen, frozen_of_card
from .precision import average_precision
from .proportions import OperatingResult, at_operating_point
from .reliability import CalibrationResult, calibration_of, no_calibration
from .scores import Scores
from .subgroups import SubgroupResult, subgroup_results
from .summary import Summary, summarise

CAUTION = (
    "Research software, not a medical device. These figures describe one model on one set of studies; they do not say how it would do "
    "elsewhere, and a finding that is not flagged is not ruled out."
)


class EvaluatedModel(Contract):
    """Whose scores these are; version and weights are null where scores came without a model card."""

    name: str
    version: str | None
    weights_sha256: str | None
    demo: bool


class EvaluatedCohort(Contract):
    """Which studies were counted, and which a reader or the gate refused, with the reason."""

    split: str | None
    studies: int
    patients: int
    synthetic_studies: int
    refused: dict[str, str]


class Settings(Contract):
    """What the numbers depend on besides the data; `frozen` says where calibration and operating points come from."""

    confidence: FiniteFloat = 0.95
    minimum_cases: int = MINIMUM_CASES
    replicates: int
    seed: int
    frozen: str


class FindingEvaluation(Contract):
    """One finding: how often it was assessed and present, and every metric or the reason why there is none."""

    key: str
    category: str
    assessed: int
    positives: int
    negatives: int
    prevalence: FiniteFloat | None
    auc: Estimate
    average_precision: Estimate
    operating: OperatingResult
    calibration: CalibrationResult


class Report(Contract):
    """The evaluation of one model on one cohort (`headct.evaluation/1`). Finite numbers only; what is null has a reason beside it."""

    schema_: Literal["headct.evaluation/1"] = Field("headct.evaluation/1", alias="schema")
    created: str
    software: str
    caution: str = CAUTION
    model: EvaluatedModel
    cohort: EvaluatedCohort
    settings: Settings
    summary: Summary
    findings: list[FindingEvaluation]
    subgroups: list[SubgroupResult]
    comparison: Comparison | None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    def to_json(self) -> str:
        """The document as it is written to `evaluation.json`."""
        return self.model_dump_json(by_alias=True, indent=1)


def evaluate_cohort(
    cohort: Cohort,
    scores: Scores,
    card: ModelCard | None = None,
    *,
    name: str = "model",
    frozen: Frozen | None = None,
    against: Scores | None = None,
    against_name: str = "the other model",
    split: str | None = None,
    refused: Mapping[str, str] | None = None,
    prevalence: Mapping[str, float] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    margin: float = MARGIN,
) -> Report:
    """Judge the scores of a cohort's studies, with the card's calibration and operating points or those of `frozen`.

    `refused` names studies that could not be scored, and why: they are left out and listed. `prevalence` is a site's own, by finding.
    Raises InvalidRequest where no study is left, or one has no scores.
    """
    refused = dict(refused or {})
    cohort = cohort.take([row for row, study in enumerate(cohort.studies) if study.study not in refused])
    if not len(cohort):
        where = "" if split is None else f" of the split {split!r}"
        raise InvalidRequest("no_studies", f"There are no studies{where} to evaluate; the manifest says which it has.", field="split")
    keys, truth, patients = finding_keys(), cohort.labels(), cohort.patients
    ids = tuple(study.study for study in cohort.studies)
    logits = scores.of(ids).logits
    frozen = frozen or (Frozen() if card is None else frozen_of_card(card))
    placed = finding_placements(truth, logits)
    codes = patient_codes(patients)
    aucs = [one.estimate if isinstance(one, NotEstimable) else auc_estimates(one, codes)[0] for one in placed]
    findings = _findings(truth, logits, aucs, frozen, prevalence or {})
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=f"headct-molre {__version__}",
        model=EvaluatedModel(
            name=name if card is None else card.name,
            version=None if card is None else card.version,
            weights_sha256=None if card is None else card.weights_sha256,
            demo=card is not None and card.demo,
        ),
        cohort=EvaluatedCohort(
            split=split,
            studies=len(cohort),
            patients=len(np.unique(patients)),
            synthetic_studies=sum(study.synthetic for study in cohort.studies),
            refused=refused,
        ),
        settings=Settings(replicates=replicates, seed=seed, frozen=frozen.origin),
        summary=summarise(keys, aucs, [one.average_precision for one in findings], bootstrap(truth, (logits,), patients, replicates, seed)),
        findings=findings,
        subgroups=subgroup_results(cohort.studies, truth, logits, patients, keys),
        comparison=None
        if against is None
        else compare(truth, logits, against.of(ids).logits, patients, keys, against_name, replicates, seed, margin),
    )


def _findings(
    truth: np.ndarray, logits: np.ndarray, aucs: list[Estimate], frozen: Frozen, prevalence: Mapping[str, float]
) -> list[FindingEvaluation]:
    keys = finding_keys()
    probabilities = probabilities_of(logits, keys, frozen.calibration)
    result = []
    for column, key in enumerate(keys):
        labels, probability = truth[:, column], probabilities[:, column]
        positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
        assessed = positives + negatives
        calibrated = key in frozen.calibration
        result.append(
            FindingEvaluation(
                key=key,
                category=finding(key).category,
                assessed=assessed,
                positives=positives,
                negatives=negatives,
                prevalence=positives / assessed if assessed else None,
                auc=aucs[column],
                average_precision=average_precision(labels, logits[:, column]),
                operating=at_operating_point(labels, probability, frozen.operating_points.get(key), prevalence.get(key)),
                calibration=calibration_of(labels, probability) if calibrated else no_calibration("no frozen calibration"),
            )
        )
    return result
