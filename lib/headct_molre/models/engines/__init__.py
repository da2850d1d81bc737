"""Inference engines: in which arithmetic, and with which library, a frozen backbone runs. Nothing heavy is imported before it is asked for.

Which engine is taken, and why, is told in docs/engines.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from ...errors import InvalidRequest
from .hardware import Hardware, hardware_of

if TYPE_CHECKING:
    from torch import nn

    from ..backbones.spec import BackboneSpec, NormalisedBackbone

REFERENCE = "torch-fp32"
ENVIRONMENT = "HEADCT_MOLRE_ENGINE"
# Smaller networks take milliseconds a slice in fp32 and are left as they were trained.
SMALL_PARAMETERS = 10_000_000


@dataclass(frozen=True)
class Engine:
    """How an engine is built and when it can run.

    `module` is the file here whose `build(backbone, spec, device, precision)` makes it. `chunk` is how many slices it is best given at
    once, by kind of device; it runs on no other kind, but for "other", which stands for all that are not named.
    """

    module: str
    precision: Literal["fp32", "bf16"]
    chunk: Mapping[str, int]

    def obstacle(self, kind: str, hardware: Hardware) -> str | None:
        """Why this engine cannot run on a kind of device, with the remedy; None where it can."""
        if kind not in self.chunk and "other" not in self.chunk:
            return f"it does not run on {kind}; use one of {', '.join(self.chunk)}"
        if self.module == "openvino_engine" and not hardware.openvino:
            return "OpenVINO is not installed; run pip install 'headct-molre[openvino]'"
        if self.precision == "bf16" and not hardware.bf16:
            return f"this {kind} has no bf16 arithmetic; use an fp32 engine"
        return None


# Chunks for the CPU were measured (docs/engines.md); those for the GPU are a first guess.
_ENGINES = {
    REFERENCE: Engine("torch_engine", "fp32", {"cpu": 6, "cuda": 64, "other": 6}),
    "torch-bf16": Engine("torch_engine", "bf16", {"cpu": 6, "cuda": 64}),
    "openvino-fp32": Engine("openvino_engine", "fp32", {"cpu": 12}),
    "openvino-bf16": Engine("openvino_engine", "bf16", {"cpu": 12}),
}
_PREFERRED = ("openvino-bf16", "torch-bf16", "openvino-fp32", REFERENCE)


def engine_names() -> list[str]:
    """Names of all engines, cheap to ask for."""
    return list(_ENGINES)


def usable_engines(device: str, hardware: Hardware | None = None) -> list[str]:
    """Names of the engines that can run on a device of this machine, the preferred one first."""
    kind, found = kind_of(device), hardware or hardware_of(kind_of(device))
    return [name for name in _PREFERRED if _ENGINES[name].obstacle(kind, found) is None]


def choose_engine(parameters: int, device: str, wanted: str | None = None, hardware: Hardware | None = None) -> str:
    """The engine for a backbone of so many parameters on a device.

    `wanted`, else the environment variable HEADCT_MOLRE_ENGINE, overrides the rule. Raises InvalidRequest for an engine that is not known
    or cannot run here.
    """
    kind, found = kind_of(device), hardware or hardware_of(kind_of(device))
    wanted = wanted or os.environ.get(ENVIRONMENT)
    if not wanted:
        return REFERENCE if parameters < SMALL_PARAMETERS else usable_engines(device, found)[0]
    usable = ", ".join(usable_engines(device, found))
    if wanted not in _ENGINES:
        raise InvalidRequest("unknown_engine", f"There is no engine {wanted!r}. Usable here: {usable}.", field="engine")
    obstacle = _ENGINES[wanted].obstacle(kind, found)
    if obstacle is not None:
        raise InvalidRequest("unusable_engine", f"The engine {wanted} cannot be used: {obstacle}. Usable here: {usable}.", field="engine")
    return wanted


def run_on(name: str, backbone: NormalisedBackbone, spec: BackboneSpec, device: str) -> nn.Module:
    """The backbone on an engine: float32 in and out, no gradient, and the signature of `NormalisedBackbone.forward`.

    `backbone` has its LoRA merged and stays as it is. One call at a time.
    """
    engine = _ENGINES[name]
    return import_module(f".{engine.module}", __name__).build(backbone, spec, device, engine.precision)


def chunk_of(name: str, device: str) -> int:
    """How many slices an engine is best given at once on a device."""
    chunk = _ENGINES[name].chunk
    return chunk.get(kind_of(device), chunk["cpu"])


def kind_of(device: str) -> str:
    """ "cuda" of "cuda:0"."""
    return device.partition(":")[0]
