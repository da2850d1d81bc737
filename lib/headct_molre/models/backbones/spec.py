"""What a backbone is: one frozen description of its network, input, pooling, licence, checkpoints and adaptation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from ...imaging.grid import SLICE_GRID, Grid
from ...imaging.prepare import OUTSIDE_HU, WINDOWS_HU, windows
from ..lora import LoRATarget

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

State = dict[str, torch.Tensor]


def unchanged(state: State, network: nn.Module) -> State:
    """The conversion of a checkpoint whose keys are the network's own."""
    return state


@dataclass(frozen=True)
class KeyFormat:
    """One way in which a backbone's weights are published, and how their keys become the network's.

    `marker` is a full-match pattern of a key that tells this format from the others. `reads` is a full-match pattern of the keys that
    belong to the image tower; all others (a text tower, say) are skipped, and every key that it matches has to be used. `convert` takes
    the tensors read and the network they are meant for. `options` are keyword arguments of the backbone's `build`.
    """

    name: str
    marker: str
    reads: str = ".*"
    convert: Callable[[State, nn.Module], State] = unchanged
    options: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, keys: set[str]) -> bool:
        """Whether a checkpoint with these keys is of this format."""
        return any(re.fullmatch(self.marker, key) for key in keys)


@dataclass(frozen=True)
class BackboneSpec:
    """A foundation model as this project uses it.

    `build(input_px=..., **options)` makes the network without weights. A network of level "slice" maps (N, C, H, W) to (N, d); one of
    level "volume" maps (B, C, D, H, W) and a mask of real slices (B, D) to parts (B, D', d) of its pooled feature, from the lowest to the
    highest, which sum to it over D'; D is a multiple of D'.

    `field_mm` is the part (height, width) of the grid that is shown, `input_px` the size it is scaled to, `cpu_input_px` the same for
    versions that are to be served without a GPU. `depth` is the number of slices of a volume network's input. `mean` and `std` normalise
    the windows' 0..1. `trained` is a full-match pattern of the network's own tensors that are trained and kept with a version. `molre` is
    False where the feature goes to the head as it is. `pooling` says in words what the feature is. `licence_url` and `hub_id` are null
    where nothing has to be fetched.
    """

    name: str
    title: str
    build: Callable[..., nn.Module]
    dimension: int
    field_mm: tuple[int, int]
    input_px: tuple[int, int]
    level: Literal["slice", "volume"]
    licence: str
    pooling: str
    formats: tuple[KeyFormat, ...]
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    cpu_input_px: tuple[int, int] | None = None
    depth: int | None = None
    grid: Grid = SLICE_GRID
    windows: tuple[tuple[float, float], ...] = WINDOWS_HU
    lora_targets: tuple[LoRATarget, ...] = ()
    trained: str | None = None
    molre: bool = True
    licence_url: str | None = None
    hub_id: str | None = None
    hub_files: tuple[str, ...] = ("model.safetensors",)

    @property
    def kind(self) -> str:
        """ "2D" or "3D"."""
        return "2D" if self.level == "slice" else "3D"

    def input_px_on(self, device: str) -> tuple[int, int]:
        """The input size (height, width) to train a version at on a device; a version is served at the size that it was trained at."""
        return self.cpu_input_px if self.cpu_input_px is not None and torch.device(device).type == "cpu" else self.input_px


class NormalisedBackbone(nn.Module):
    """The network behind the backbone's own normalisation of the windows."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, spec: BackboneSpec, input_px: tuple[int, int] | None = None, **options: Any) -> None:
        super().__init__()
        self.input_px = input_px or spec.input_px
        self.network = spec.build(input_px=self.input_px, **options)
        self.normalises = any(spec.mean) or any(deviation != 1 for deviation in spec.std)
        self.register_buffer("mean", torch.tensor(spec.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(-1, 1, 1), persistent=False)

    def forward(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Windowed slices (N, C, H, W) in 0..1 -> features (N, d).

        A volume network takes studies (B, D, C, H, W) and a mask (B, D), and gives parts of their pooled features (B, D', d).
        """
        if mask is None:
            return self.network(self._normalised(slices))
        return self.network(self._normalised(slices).transpose(1, 2), mask)

    def tokens(self, slices: torch.Tensor) -> torch.Tensor:
        """Windowed slices (N, 3, H, W) -> the last block's tokens (N, T, d) of a timm transformer, prefix tokens first."""
        return self.network.forward_features(self._normalised(slices))  # type: ignore[operator]

    def _normalised(self, slices: torch.Tensor) -> torch.Tensor:
        return (slices - self.mean) / self.std if self.normalises else slices


class AbsentBackbone(NormalisedBackbone):
    """Stands for a backbone that is not loaded, where slice features are there already; it has no tensors and reads no slice."""

    def __init__(self, input_px: tuple[int, int]) -> None:
        nn.Module.__init__(self)
        self.input_px = input_px

    def forward(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Raises RuntimeError."""
        raise RuntimeError("the backbone was not loaded")


def model_input(spec: BackboneSpec, hu: np.ndarray, input_px: tuple[int, int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """HU (S, H, W) on the backbone's grid -> windowed slices (S', C, H', W') in 0..1, and which of them are real (S',).

    A volume network gets all the slices that it takes, air above the study's own. Raises ValueError for a study with more.
    """
    slices, depth = len(hu), spec.depth or len(hu)
    if slices > depth:
        raise ValueError(f"{spec.name} takes {depth} slices, not {slices}")
    padded = np.pad(hu, ((0, depth - slices), (0, 0), (0, 0)), constant_values=OUTSIDE_HU)
    return to_input(spec, torch.from_numpy(windows(padded, spec.windows)), input_px), torch.arange(depth) < slices


def to_input(spec: BackboneSpec, windowed: torch.Tensor, input_px: tuple[int, int] | None = None) -> torch.Tensor:
    """Crop windowed slices (S, C, H, W) to the backbone's field and scale them to its input (S, C, H', W')."""
    size = input_px or spec.input_px
    height, width = (round(side / step) for side, step in zip(spec.field_mm, spec.grid.spacing_mm[1:], strict=True))
    top, left = (windowed.shape[-2] - height) // 2, (windowed.shape[-1] - width) // 2
    crop = windowed[..., top : top + height, left : left + width]
    if crop.shape[-2:] == size:
        return crop
    return nn.functional.interpolate(crop, size, mode="bilinear", antialias=True, align_corners=False)
