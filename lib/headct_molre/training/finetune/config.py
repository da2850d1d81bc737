"""Everything that decides a fine-tune beside the corrections themselves; each setting has a default, so that `{}` is a valid request."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, field_validator

from ...schema import Contract

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[FiniteFloat, Field(gt=0, lt=1)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Share = Annotated[FiniteFloat, Field(gt=0, lt=1)]


class FineTuneConfig(Contract):
    """How one version is made from the released one and the corrections (docs/finetuning.md).

    mode: "quick" tunes MoLRE, pooling and head on stored slice features; "full" LoRA too, on the images. strengths: the prior strengths
    lambda that are tried, of which one acts on n corrections as lambda / n; cross-validation over `folds` groups of patients chooses among
    several, in `choice_epochs` each. replay_studies: how many studies of the source set are learned from again, at most; replay_weight:
    their weight in sum against that of the corrections'. uncertain: left out, or a target of 0.5. not_assessed: left out, or the
    released version's own probability as target, with `distilled_weight`. held_out_share: of the patients whose studies were
    offered at random, for the gate. minimum_corrections: below as many to learn from, a fine-tune is refused.
    threads: of the processor; another number may round otherwise, and so give another version.
    """

    mode: Literal["quick", "full"] = "quick"
    epochs: Count = 40
    batch_studies: Count = 32
    head_rate: Rate = 3e-3
    adapter_rate: Rate = 1e-3
    lora_rate: Rate = 1e-4
    gradient_clip: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    focal_gamma: NotNegative = 2.0
    positive_weight_limit: Annotated[FiniteFloat, Field(ge=1)] = 10.0
    strengths: Annotated[tuple[NotNegative, ...], Field(min_length=1, max_length=12)] = (0.25, 2.0, 16.0, 128.0)
    folds: Annotated[int, Field(ge=2, le=10)] = 3
    choice_epochs: Count = 8
    replay_studies: Annotated[int, Field(ge=0)] = 1500
    replay_weight: NotNegative = 2.0
    uncertain: Literal["masked", "soft"] = "masked"
    not_assessed: Literal["masked", "distilled"] = "masked"
    distilled_weight: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.3
    held_out_share: Share = 0.5
    minimum_corrections: Count = 20
    threads: Count = 2
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @field_validator("strengths")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("strengths are to rise from one to the next")
        return value

    def sha256(self) -> str:
        """Hash of all settings."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
