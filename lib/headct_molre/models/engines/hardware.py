"""What of this machine bears on the choice of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec


@dataclass(frozen=True)
class Hardware:
    """`bf16`: the device multiplies bf16 matrices in hardware. `openvino`: the package is installed."""

    bf16: bool
    openvino: bool


@cache
def hardware_of(kind: str) -> Hardware:
    """What the devices of a kind ("cpu", "cuda") can do; what cannot be told counts as absent."""
    return Hardware(bf16=_has_bf16(kind), openvino=find_spec("openvino") is not None)


def has_amx() -> bool:
    """Whether the CPU has Intel's matrix unit."""
    return bool(_cpu().get("amx_bf16"))


def _has_bf16(kind: str) -> bool:
    import torch

    if kind == "cuda":
        # Cards before Ampere emulate bf16, slower than fp32.
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and bool(_cpu().get("avx512_bf16") or _cpu().get("amx_bf16"))


def _cpu() -> dict[str, object]:
    import torch

    # Not there in the oldest torch that we allow.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)
    return dict(capabilities())
