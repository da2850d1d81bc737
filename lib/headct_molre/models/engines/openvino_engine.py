"""OpenVINO on the CPU, in fp32 or bf16; an extra of the package."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from io import StringIO
from types import ModuleType

import torch
from torch import nn

from ..backbones.spec import BackboneSpec, NormalisedBackbone
from .torch_engine import fast_float32

# Not one, because a traced dimension of one is taken for one that broadcasts.
EXAMPLE_SLICES = 2


def build(backbone: NormalisedBackbone, spec: BackboneSpec, device: str, precision: str) -> nn.Module:
    """The backbone converted and compiled by OpenVINO."""
    return OpenVINOEngine(backbone, spec, "bf16" if precision == "bf16" else "f32")


class OpenVINOEngine(nn.Module):
    """A compiled graph for one input size, and any number of slices or one study; it shares the fp32 weights and holds packed ones."""

    def __init__(self, backbone: NormalisedBackbone, spec: BackboneSpec, precision: str) -> None:
        super().__init__()
        properties = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Two servers on one machine would pin their threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = _openvino().Core().compile_model(_converted(backbone, spec), "CPU", properties)

    def forward(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As NormalisedBackbone.forward."""
        if mask is None:
            return self._run(slices)
        return torch.cat([self._run(*study) for study in zip(slices.split(1), mask.split(1), strict=True)])

    def _run(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._compiled([tensor.contiguous().numpy() for tensor in inputs], share_inputs=True)[0])


def _converted(backbone: NormalisedBackbone, spec: BackboneSpec) -> object:
    """The network as an OpenVINO model with a free number of slices.

    Networks of volumes count studies in Python, where a trace does not see it, and a graph that is given more may crash: they get one.
    """
    openvino = _openvino()
    inputs, shapes = _example(backbone, spec)
    with torch.no_grad(), fast_float32(), warnings.catch_warnings():
        # Tracing remarks on every branch it takes; that the graph computes the same is checked by its results.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(backbone.eval(), inputs, strict=False, check_trace=False)
    # The converter takes a --verbose on the command line of whatever program this is for its own, and prints.
    with redirect_stdout(StringIO()):
        return openvino.convert_model(traced, example_input=inputs, input=[openvino.PartialShape(shape) for shape in shapes])


def _example(backbone: NormalisedBackbone, spec: BackboneSpec) -> tuple[tuple[torch.Tensor, ...], list[list[int]]]:
    size = (len(spec.windows), *backbone.input_px)
    if spec.level == "slice":
        return (torch.rand(EXAMPLE_SLICES, *size),), [[-1, *size]]
    depth = spec.depth or spec.grid.slices
    return (torch.rand(1, depth, *size), torch.ones(1, depth, dtype=torch.bool)), [[1, depth, *size], [1, depth]]


def _openvino() -> ModuleType:
    """OpenVINO without its telemetry, which reports every import and conversion over the network unless each user has opted out."""
    if "openvino" not in sys.modules:
        # OpenVINO replaces what it cannot import by a stub that does nothing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
