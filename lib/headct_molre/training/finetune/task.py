"""What a fine-tune is asked to do, and what it answers, as the files of its folder hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, FiniteFloat

from ...data.store.labels import DEFAULT_RULE
from ...schema import Contract, Name
from ..gate.document import Outcome
from ..gate.policy import GatePolicy
from .config import FineTuneConfig

Stage = Literal["corrections", "features", "training", "gate", "writing"]


class FineTuneTask(Contract):
    """One fine-tune (`headct.finetune/1`, `task.json`).

    Everything that was submitted up to the sequence `until` counts and nothing after it; `created` goes into the card: the same task gives
    the same version, bit by bit.
    """

    schema_: Literal["headct.finetune/1"] = Field("headct.finetune/1", alias="schema")
    model: Name
    store_url: str
    studies_folder: Path
    features_folder: Path
    prepared_folder: Path
    until: Annotated[int, Field(ge=0)]
    created: str
    config: FineTuneConfig = FineTuneConfig()
    gate_policy: GatePolicy = GatePolicy()
    label_rule: str = DEFAULT_RULE

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())


class FineTuneProgress(Contract):
    """Where a fine-tune stands (`progress.json`); `stage_number` counts from 1, `percentage` is of the whole."""

    stage: Stage
    stage_number: int
    stages: int
    epoch: int | None = None
    epochs: int | None = None
    percentage: Annotated[FiniteFloat, Field(ge=0, le=100)]
    seconds_left: FiniteFloat | None = None
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    message: str


class FineTuneResult(Contract):
    """The version that a fine-tune made and what the gate said of it (`result.json`)."""

    version: str
    parent: str
    outcome: Outcome
    promotes_by_itself: bool
    summary: list[str]
    counts: dict[str, int]
    metrics: dict[str, FiniteFloat]
    weights_sha256: str
    seconds: dict[str, FiniteFloat]
