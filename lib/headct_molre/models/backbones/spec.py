"""What a backbone is: one frozen description of its network, input, pooling, licence and adaptation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..lora import LoRATarget

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneSpec:
    """A foundation model as this project uses it.

    `build` makes the network without weights. `field_mm` is the part of the 256 mm model grid that is shown, as (height,
    width) in mm, and `input_px` the size it is scaled to. `licence_url` and `hub_id` are null for the shipped demo.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    dimension: int
    field_mm: tuple[int, int]
    input_px: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    level: Literal["slice", "volume"]
    lora_targets: tuple[LoRATarget, ...]
    licence: str
    licence_url: str | None = None
    hub_id: str | None = None


class NormalisedBackbone(nn.Module):
    """The network behind the backbone's own normalisation of the three windows."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.network = spec.build()
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Windowed slices (N, 3, H, W) in 0..1 -> features (N, d)."""
        return self.network((slices - self.mean) / self.std)

    def tokens(self, slices: torch.Tensor) -> torch.Tensor:
        """Windowed slices (N, 3, H, W) -> the last block's tokens (N, T, d) of a timm transformer, prefix tokens first."""
        return self.network.forward_features((slices - self.mean) / self.std)  # type: ignore[operator]


def to_input(spec: BackboneSpec, windowed: torch.Tensor) -> torch.Tensor:
    """Crop the model grid (S, 3, 256, 256) at 1 mm to the backbone's field and scale it to its input (S, 3, H, W)."""
    height, width = spec.field_mm
    top, left = (windowed.shape[-2] - height) // 2, (windowed.shape[-1] - width) // 2
    crop = windowed[..., top : top + height, left : left + width]
    if spec.input_px == spec.field_mm:
        return crop
    return nn.functional.interpolate(crop, spec.input_px, mode="bilinear", antialias=True, align_corners=False)
