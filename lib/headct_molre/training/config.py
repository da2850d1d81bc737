"""Everything that decides a training run, as data: the paper's protocol by default (docs/training.md names the source of each number)."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, FiniteFloat, ValidationError, field_validator, model_validator

from ..data.augmentation import AugmentationSettings
from ..errors import InvalidRequest
from ..models.backbones import backbone_names, backbone_spec
from ..models.pooling import POOLINGS
from ..schema import Contract

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[FiniteFloat, Field(gt=0, lt=1)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Config = TypeVar("Config", bound=Contract)


class TrainingConfig(Contract):
    """One run: which parts learn, from what, how long.

    `lora` and `molre` switch the adapters; without MoLRE a run is the paper's baseline. `features` says whether the backbone sees augmented
    images in every epoch, or its features are computed once and only MoLRE, pooling and head learn. `batch_studies` is the global batch,
    whatever the number of processes; `micro_batch` how many of its studies a process holds at once.
    """

    model: str
    lora: bool = True
    molre: bool = True
    features: Literal["images", "cached"] = "images"
    lora_rank: Count = 8
    lora_alpha: Count = 16
    molre_experts: Count = 6
    molre_rank: Count = 8
    molre_router_width: Count = 256
    pooling: str = "query"

    head_rate: Rate = 1e-3
    adapter_rate: Rate = 1e-4
    weight_decay: NotNegative = 0.01
    gradient_clip: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    warmup_epochs: NotNegative = 1.0
    focal_gamma: NotNegative = 2.0
    positive_weight_limit: Annotated[FiniteFloat, Field(ge=1)] = 10.0
    repeat_threshold: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.05
    uncertain: Literal["masked", "soft"] = "masked"

    batch_studies: Count = 8
    micro_batch: Count = 1
    chunk_slices: Count = 4
    checkpointing: bool = True
    min_epochs: Count = 20
    max_epochs: Count = 40
    patience: Count = 5
    selection_minimum: Count = 5
    augmentation: AugmentationSettings = AugmentationSettings()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value not in backbone_names():
            raise ValueError(f"there is no model {value!r}; there are {', '.join(backbone_names())}")
        return value

    @field_validator("pooling")
    @classmethod
    def _known_pooling(cls, value: str) -> str:
        if value not in POOLINGS:
            raise ValueError(f"there is no pooling {value!r}; there are {', '.join(POOLINGS)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> TrainingConfig:
        if self.max_epochs < self.min_epochs:
            raise ValueError(f"max_epochs {self.max_epochs} is less than min_epochs {self.min_epochs}")
        if self.features == "cached" and self.lora:
            raise ValueError("features 'cached' needs lora = false: cached features do not pass through LoRA")
        if self.features == "cached" and backbone_spec(self.model).trained is not None:
            raise ValueError(f"features 'cached' is not for {self.model}, whose network itself is trained")
        return self

    @property
    def adapters(self) -> dict[str, int | str]:
        """Keyword arguments of `adapted_classifier`; 0 leaves an adapter out."""
        return {
            "lora_rank": self.lora_rank if self.lora else 0,
            "lora_alpha": self.lora_alpha,
            "experts": self.molre_experts if self.molre else 0,
            "rank": self.molre_rank,
            "router_width": self.molre_router_width,
            "pooling": self.pooling,
        }

    def sha256(self) -> str:
        """Hash of all settings."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def load_config(model: str, file: Path | None = None, settings: list[str] | None = None) -> TrainingConfig:
    """The configuration of a run: defaults, then a TOML file, then `name=value` settings with dots for groups.

    Raises InvalidRequest that names the setting and the remedy.
    """
    return validated(TrainingConfig, read_settings(file, settings) | {"model": model})


def read_settings(file: Path | None, settings: list[str] | None) -> dict[str, Any]:
    """Settings of a TOML file and, over these, of `name=value` texts, unchecked. Raises InvalidRequest where either cannot be read."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest("invalid_setting", f"{file} is not TOML: {error}.", field="config") from None
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals:
            raise InvalidRequest("invalid_setting", f"--set {setting!r} is not name=value.", field="set")
        group = values
        *groups, last = name.strip().split(".")
        for key in groups:
            group = group.setdefault(key, {})
            if not isinstance(group, dict):
                raise InvalidRequest("invalid_setting", f"--set {setting!r}: {key} is not a group of settings.", field=key)
        group[last] = _value(value.strip())
    return values


def validated(kind: type[Config], values: dict[str, Any]) -> Config:
    """The configuration with these settings. Raises InvalidRequest that names the setting and the remedy."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"])) or "config"
        raise InvalidRequest("invalid_setting", f"Setting {field}: {problem['msg'].removeprefix('Value error, ')}.", field=field) from None


def _value(text: str) -> Any:
    """What TOML reads in the text, and the text itself where TOML reads nothing: a word needs no quotes on a command line."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
