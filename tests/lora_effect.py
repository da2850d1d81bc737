"""What LoRA has to do to a network: learn at every place, and merge without changing the output."""

from __future__ import annotations

import torch
from torch import nn

from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.lora import lora_parameters, merge_lora


def assert_lora_learns_and_merges(backbone: NormalisedBackbone, x: torch.Tensor) -> None:
    """Moves every pair of an adapted backbone away from its start, sees a gradient at each, and merges them all."""
    for parameter in lora_parameters(backbone):
        nn.init.normal_(parameter, std=0.1)
    moved = backbone(x)
    moved.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 1e-5 for parameter in lora_parameters(backbone))
    merge_lora(backbone)
    torch.testing.assert_close(backbone(x), moved, atol=1e-4, rtol=1e-4)
