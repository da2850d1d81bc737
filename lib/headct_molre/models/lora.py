"""Low-rank adaptation (LoRA, arXiv 2106.09685) of the linears and the patch convolution of a frozen backbone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class LoRATarget:
    """Which modules are adapted: a full-match pattern of the module's name, and into how many outputs it is split.

    `splits` is 3 for a fused qkv linear whose q, k and v get a pair each, as in the published parameter counts.
    """

    pattern: str
    splits: int = 1


# q, k, v with a pair each, output projection and patch convolution of timm's vision transformers.
VIT_TARGETS = (
    LoRATarget(r"network\.blocks\.\d+\.attn\.qkv", splits=3),
    LoRATarget(r"network\.blocks\.\d+\.attn\.proj"),
    LoRATarget(r"network\.patch_embed\.proj"),
)


class LoRALinear(nn.Module):
    """y = W x + b + (alpha / r) B A x, with one pair (A, B) for each split of the output; B is zero at the start."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, splits: int = 1) -> None:
        super().__init__()
        if base.out_features % splits:
            raise ValueError(f"{base.out_features} outputs cannot be split into {splits} equal parts")
        self.base = base
        self.scale = alpha / rank
        self.lora_down = nn.Parameter(torch.empty(splits, rank, base.in_features))
        self.lora_up = nn.Parameter(torch.zeros(splits, base.out_features // splits, rank))
        nn.init.kaiming_uniform_(self.lora_down.view(-1, base.in_features), a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        hidden = nn.functional.linear(x, self.lora_down.flatten(0, 1)).unflatten(-1, self.lora_down.shape[:2])
        update = torch.einsum("...sr,sor->...so", hidden, self.lora_up).flatten(-2)
        return self.base(x) + self.scale * update

    def merged(self) -> nn.Linear:
        """The plain linear with the adaptation folded in."""
        update = torch.einsum("sor,sri->soi", self.lora_up, self.lora_down).flatten(0, 1)
        with torch.no_grad():
            self.base.weight += self.scale * update
        return self.base


class LoRAConv2d(nn.Module):
    """A convolution with a low-rank side branch: a convolution to r channels, then 1 x 1 to the outputs."""

    def __init__(self, base: nn.Conv2d, rank: int, alpha: float) -> None:
        super().__init__()
        if base.groups != 1:
            raise ValueError("LoRA of a grouped convolution is not defined here")
        self.base = base
        self.scale = alpha / rank
        self.lora_down = nn.Parameter(torch.empty(rank, *base.weight.shape[1:]))
        self.lora_up = nn.Parameter(torch.zeros(base.out_channels, rank, 1, 1))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        hidden = nn.functional.conv2d(x, self.lora_down, None, self.base.stride, self.base.padding, self.base.dilation)
        return self.base(x) + self.scale * nn.functional.conv2d(hidden, self.lora_up)

    def merged(self) -> nn.Conv2d:
        """The plain convolution with the adaptation folded in."""
        with torch.no_grad():
            self.base.weight += self.scale * torch.einsum("or,rihw->oihw", self.lora_up[:, :, 0, 0], self.lora_down)
        return self.base


def add_lora(model: nn.Module, targets: tuple[LoRATarget, ...], rank: int = 8, alpha: float = 16.0) -> int:
    """Replace every module that a target names by its adapted form, in place; returns how many.

    Raises ValueError where a target matches nothing, because a silent miss would train a frozen backbone.
    """
    count = 0
    for target in targets:
        matches = [name for name, module in model.named_modules() if re.fullmatch(target.pattern, name) and _adaptable(module)]
        if not matches:
            raise ValueError(f"LoRA target {target.pattern!r} matches no linear or convolution of {type(model).__name__}")
        for name in matches:
            base = model.get_submodule(name)
            adapted = LoRAConv2d(base, rank, alpha) if isinstance(base, nn.Conv2d) else LoRALinear(base, rank, alpha, target.splits)  # type: ignore[arg-type]
            _replace(model, name, adapted)
            count += 1
    return count


def merge_lora(model: nn.Module) -> None:
    """Fold every adaptation into the weights it adapts, in place, for serving."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoRALinear | LoRAConv2d):
            _replace(model, name, module.merged())


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters that LoRA added."""
    return [parameter for name, parameter in model.named_parameters() if ".lora_" in name]


def _adaptable(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
