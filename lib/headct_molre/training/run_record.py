"""What a run was made of and what it took (`run.json`): enough to repeat it, and to know what it cost."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Literal

import torch
from pydantic import ConfigDict, Field, FiniteFloat, ValidationError

from .. import __version__
from ..errors import InvalidRequest
from ..output import write_whole
from ..schema import Contract
from .config import TrainingConfig

PACKAGES = ("torch", "monai", "timm", "numpy", "scipy", "scikit-learn", "safetensors")


class RunRecord(Contract):
    """A run's inputs by hash, its settings, versions and machine; after the end its durations, throughput, memory and cost.

    Seconds are of this process and of the last, unbroken stretch of a stage. `waiting_share` is the share of training time that the model
    waited for data. `device_hours` counts each process's device for the time of the run; `price` is that times the price that was given.
    """

    schema_: Literal["headct.run/1"] = Field("headct.run/1", alias="schema")
    created: str
    version: str
    config: TrainingConfig
    config_sha256: str
    manifest_sha256: str
    backbone_sha256: str
    device: str
    processes: int
    workers: int
    precision: str
    versions: dict[str, str]
    machine: dict[str, str | int]
    studies: dict[str, int] = Field(default_factory=dict)
    refused: dict[str, int] = Field(default_factory=dict)
    epoch_expansion: FiniteFloat | None = None
    trainable_parameters: dict[str, int] = Field(default_factory=dict)
    seconds: dict[str, FiniteFloat] = Field(default_factory=dict)
    studies_per_second: dict[str, FiniteFloat] = Field(default_factory=dict)
    waiting_share: FiniteFloat | None = None
    peak_memory_gb: dict[str, FiniteFloat] = Field(default_factory=dict)
    epochs: int | None = None
    best_epoch: int | None = None
    best_validation_auc: FiniteFloat | None = None
    device_hours: FiniteFloat | None = None
    price_per_hour: FiniteFloat | None = None
    price: FiniteFloat | None = None
    taken_up: int = 0

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        write_whole(path, (self.model_dump_json(by_alias=True, indent=2) + "\n").encode())


def read_record(path: Path) -> RunRecord:
    """The record of a run. Raises InvalidRequest for what is not one."""
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        message = f"{path} is not the record of a run ({error.errors()[0]['msg']}). Choose another folder."
        raise InvalidRequest("damaged_run", message, field="out") from None


def refuse_other_run(record: RunRecord, now: RunRecord) -> None:
    """Raises InvalidRequest that names what differs, where a folder holds a run of other inputs."""
    differing = [name for name in ("manifest_sha256", "backbone_sha256", "precision") if getattr(record, name) != getattr(now, name)]
    before, after = record.config.model_dump(), now.config.model_dump()
    differing += [f"{name} ({before[name]!r} there, {after[name]!r} now)" for name in before if before[name] != after[name]]
    if differing:
        message = (
            f"The folder holds a run with other inputs: {', '.join(differing)}. Choose another folder, or the same inputs to take it up."
        )
        raise InvalidRequest("other_run", message, field="out")


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of what decides numbers."""
    return {
        "headct-molre": __version__,
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }


def machine(device: torch.device) -> dict[str, str | int]:
    """Processor, cores and accelerator, without a name of the machine."""
    found: dict[str, str | int] = {"processor": platform.machine(), "cores": os.cpu_count() or 0, "threads": torch.get_num_threads()}
    if device.type == "cuda":
        found |= {"accelerator": torch.cuda.get_device_name(device), "accelerators": torch.cuda.device_count()}
    return found


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Largest resident memory of this process and of its largest finished worker, and of the accelerator, in 10^9 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9,
        "largest_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9,
    }
    if device.type == "cuda":
        peak["accelerator"] = torch.cuda.max_memory_allocated(device) / 1e9
    return peak
