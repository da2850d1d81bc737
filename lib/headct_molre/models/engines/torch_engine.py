"""PyTorch itself, in fp32 or with its matrices in bf16."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..backbones.spec import BackboneSpec, NormalisedBackbone
from .hardware import has_amx

MATRICES = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def build(backbone: NormalisedBackbone, spec: BackboneSpec, device: str, precision: str) -> nn.Module:
    """The backbone run by PyTorch."""
    return TorchEngine(backbone, device, torch.bfloat16 if precision == "bf16" else torch.float32)


class TorchEngine(nn.Module):
    """The network as it is, with the weights of its matrices and convolutions stored in `dtype`.

    In bf16 it runs under autocast, so that sums, norms and the residual stream stay fp32: as fast as a network all in bf16, with half
    the error, and pooling in 3D, which PyTorch does not have in bf16 on the CPU, works.
    """

    def __init__(self, backbone: NormalisedBackbone, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = _with_matrices_in(backbone, dtype).to(device).eval().requires_grad_(False)
        self.kind = torch.device(device).type
        self.dtype = dtype

    def forward(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """As NormalisedBackbone.forward."""
        with torch.no_grad(), self._arithmetic():
            return self.network(slices, mask).float()

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        if self.dtype != torch.float32:
            # The weights are cast already, and a cache would only hold copies of the few that are not.
            with torch.autocast(self.kind, self.dtype, cache_enabled=False):
                yield
        elif self.kind == "cpu" and not has_amx():
            with fast_float32():
                yield
        elif self.kind == "cuda":
            with true_float32():
                yield
        else:
            yield


@contextmanager
def fast_float32() -> Iterator[None]:
    """Matrix products of the CPU by oneDNN and not by MKL, which is slow on AMD's.

    "medium" allows bf16 inside, but oneDNN takes it only where there is AMX; elsewhere this is still fp32. The setting is the process's,
    so it is put back.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def true_float32() -> Iterator[None]:
    """Convolutions of the GPU in float32 where matrix products are: cuDNN takes TF32 unless it is told otherwise. Put back afterwards."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.get_float32_matmul_precision() != "highest"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _with_matrices_in(backbone: NormalisedBackbone, dtype: torch.dtype) -> NormalisedBackbone:
    """A copy that shares every tensor with the backbone, but for those that it holds in another type."""
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    for module in backbone.modules():
        if isinstance(module, MATRICES):
            for parameter in module.parameters(recurse=False):
                shared[id(parameter)] = nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
    return copy.deepcopy(backbone, shared)
