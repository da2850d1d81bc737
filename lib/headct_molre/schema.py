"""The JSON contracts of the wire: Prediction, Submission and ModelCard.

Coordinates are RAS in millimetres, arrays are (slice, row, column), slice 0 is the most inferior, and every number is
finite. Unknown fields are refused, so that a misspelt field is an error and not a silent loss.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from .findings import finding_keys

State = Literal["present", "absent", "uncertain", "not_assessed"]
StudyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="no path separators, no leading dot")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Unit = Annotated[FiniteFloat, Field(ge=0.0, le=1.0)]


class Contract(BaseModel):
    """Base of all documents: unknown fields are refused and instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class PredictionModel(Contract):
    """Which immutable version of which model spoke; `demo` marks a model trained on synthetic data only."""

    name: Name
    version: str
    backbone: str
    adapter: str
    demo: bool
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FindingResult(Contract):
    """One finding: probability = sigmoid(logit), and logit = bias + the sum of the finding's evidence over slices.

    `estimable` is False where the version was never tested on that finding; then there is no operating point and
    `positive` is null, which means "not assessed by this model", never "ruled out".
    """

    key: str
    probability: Unit
    logit: FiniteFloat
    bias: FiniteFloat
    operating_point: Unit | None
    positive: bool | None
    estimable: bool


class SliceResult(Contract):
    """One model slice: its centre, its share in the pooling (sums to 1 over slices), its router weights (sum to 1)."""

    index: int
    center_ras: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    attention: Unit
    router: list[Unit]


class Frame(Contract):
    """The model's grid: `model_to_ras` takes a homogeneous voxel index (slice, row, column, 1) to RAS millimetres."""

    model_to_ras: list[list[FiniteFloat]]
    shape: tuple[int, int, int]
    spacing_mm: tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class Warning_(Contract):
    """One remark of the gate, with the measured value where there is one."""

    code: str
    message: str
    value: FiniteFloat | None = None


class Quality(Contract):
    """What the gate found; a refused study has no Prediction but an error."""

    accepted: bool
    warnings: list[Warning_]
    facts: dict[str, FiniteFloat | int | str | bool | None]


class Prediction(Contract):
    """A model version's output on one study (`headct.prediction/1`).

    `engine` is what ran the backbone, in which precision. Predictions stored before there was a choice came from torch in float32.
    """

    schema_: Literal["headct.prediction/1"] = Field("headct.prediction/1", alias="schema")
    study: StudyId
    model: PredictionModel
    device: str
    engine: str = "torch-fp32"
    findings: list[FindingResult]
    router_level: Literal["slice", "volume"] | None
    slices: list[SliceResult]
    evidence: list[list[FiniteFloat]]
    frame: Frame
    quality: Quality
    timing_ms: dict[str, FiniteFloat]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    @model_validator(mode="after")
    def _taxonomy_order(self) -> Prediction:
        if tuple(result.key for result in self.findings) != finding_keys():
            raise ValueError("findings must be the 75 findings in taxonomy order")
        if len(self.evidence) != len(self.findings) or any(len(row) != len(self.slices) for row in self.evidence):
            raise ValueError("evidence must have one row for each finding and one column for each slice")
        return self

    def to_json(self) -> str:
        """The document as it goes over the wire."""
        return self.model_dump_json(by_alias=True)


class SubmissionModel(Contract):
    """The model version that was on the reader's screen."""

    name: Name
    version: str


class Submission(Contract):
    """One reader's calls on one study at one time (`headct.submission/1`); the client's UUID makes a retry harmless.

    A finding that is not named was not assessed. It is never taken as absent.
    """

    schema_: Literal["headct.submission/1"] = Field("headct.submission/1", alias="schema")
    submission_id: UUID
    study: StudyId
    reader: Annotated[str, Field(min_length=1, max_length=128)]
    model: SubmissionModel | None
    findings: Annotated[dict[str, State], Field(min_length=1)]
    comment: Annotated[str, Field(max_length=10_000)] = ""
    seconds_spent: Annotated[FiniteFloat, Field(ge=0.0)] | None = None
    client: Annotated[str, Field(max_length=256)] = ""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    @field_validator("findings")
    @classmethod
    def _known_keys(cls, value: dict[str, State]) -> dict[str, State]:
        unknown = sorted(set(value) - set(finding_keys()))
        if unknown:
            raise ValueError(f"unknown finding keys: {', '.join(unknown)}")
        return value


class Calibration(Contract):
    """Platt scaling of one finding: calibrated logit = slope x raw logit + intercept."""

    slope: Annotated[FiniteFloat, Field(gt=0.0)]
    intercept: FiniteFloat


class FindingMetrics(Contract):
    """Held-out performance of one finding; what is null is not estimable, or was not measured when the card was written.

    `auc_low` to `auc_high` is the 95 % interval; sensitivity and specificity are those at the card's operating point.
    """

    positives: int
    negatives: int
    auc: Unit | None
    auc_low: Unit | None = None
    auc_high: Unit | None = None
    average_precision: Unit | None = None
    sensitivity: Unit | None = None
    specificity: Unit | None = None


class ModelCard(Contract):
    """What an immutable model version is, how it was made and how it performs (`model.json` beside its weights).

    `source_sha256` is of the source set beside them, if there is one: features of the studies that it learned from, for fine-tuning.
    """

    schema_: Literal["headct.model/1"] = Field("headct.model/1", alias="schema")
    name: Name
    version: Name
    backbone: str
    adapter: str
    demo: bool
    created: str
    description: str
    intended_use: str
    limitations: list[str]
    licence: str
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    backbone_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    hyperparameters: dict[str, FiniteFloat | int | str | bool | None]
    findings: list[str]
    calibration: dict[str, Calibration]
    operating_points: dict[str, Unit]
    cohort: dict[str, int]
    metrics: dict[str, FindingMetrics]
    mean_auc: Unit | None
    reproduce: str
    parent: str | None = None
    gate_report: str | None = None
    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())
