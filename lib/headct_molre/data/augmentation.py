"""The paper's augmentations of a prepared volume, by MONAI's transforms (arXiv 2603.00675, section 3.1).

Elastic deformation, small rotations and anisotropic scaling are one resampling of each slice, the same for all slices of a study, so that
neighbouring slices stay neighbours. Mirroring is left to right. Brightness and noise act on the windowed channels. The publication gives no
ranges; these are ours.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from monai.transforms import Rand2DElastic
from pydantic import Field, FiniteFloat

from ..imaging.prepare import OUTSIDE_HU
from ..schema import Contract

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Size = Annotated[FiniteFloat, Field(ge=0)]


class AugmentationSettings(Contract):
    """Ranges: degrees, relative scale for each axis, millimetres of a control point's move, shares of a window's 0..1.

    `spatial_share` of the studies are deformed. Control points of the elastic deformation lie `elastic_spacing_mm` apart. Mirroring rules
    out that a model learns the side of a finding. `flip_vertical` mirrors top to bottom, which also puts the falx and the tentorium
    upside down: off unless asked for.
    """

    enabled: bool = True
    spatial_share: Share = 0.8
    rotation_degrees: Annotated[FiniteFloat, Field(ge=0, le=45)] = 10.0
    scale: Annotated[FiniteFloat, Field(ge=0, lt=0.5)] = 0.1
    shift_mm: Annotated[FiniteFloat, Field(ge=0, le=50)] = 5.0
    elastic_mm: Annotated[FiniteFloat, Field(ge=0, le=10)] = 2.0
    elastic_spacing_mm: Annotated[FiniteFloat, Field(ge=8, le=128)] = 32.0
    mirror_share: Share = 0.5
    flip_vertical: Share = 0.0
    brightness: Share = 0.1
    contrast: Share = 0.1
    noise: Share = 0.03


def augment_hu(hu: np.ndarray, spacing_mm: tuple[float, float], settings: AugmentationSettings, rng: np.random.Generator) -> np.ndarray:
    """HU (S, H, W) with voxels of `spacing_mm` in plane -> the same shape, deformed and mirrored; air comes in from outside."""
    if not settings.enabled:
        return hu
    if rng.random() < settings.spatial_share:
        hu = _deform(hu, spacing_mm, settings, rng)
    if rng.random() < settings.mirror_share:
        hu = hu[:, :, ::-1]
    if rng.random() < settings.flip_vertical:
        hu = hu[::-1]
    return np.ascontiguousarray(hu)


def augment_windows(slices: torch.Tensor, real: torch.Tensor, settings: AugmentationSettings, rng: np.random.Generator) -> torch.Tensor:
    """Windowed slices (S, C, H, W) in 0..1 -> the same with another brightness and contrast of each channel, and noise.

    Slices that are not `real` (S,) stay as they are.
    """
    if not settings.enabled:
        return slices
    channels = slices.shape[1]
    gain = torch.from_numpy(rng.uniform(1 - settings.contrast, 1 + settings.contrast, (channels, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.uniform(-settings.brightness, settings.brightness, (channels, 1, 1)).astype(np.float32))
    deviation = float(rng.uniform(0, settings.noise))
    noise = torch.randn(slices[real].shape, generator=torch.Generator().manual_seed(int(rng.integers(2**63))))
    changed = slices.clone()
    changed[real] = (slices[real] * gain + offset + noise * deviation).clamp_(0, 1)
    return changed


def _deform(hu: np.ndarray, spacing_mm: tuple[float, float], settings: AugmentationSettings, rng: np.random.Generator) -> np.ndarray:
    # The slices are the channels of one image: they move together.
    spacing = tuple(settings.elastic_spacing_mm / step for step in spacing_mm)
    shift = tuple(settings.shift_mm / step for step in spacing_mm)
    elastic = settings.elastic_mm / float(np.mean(spacing_mm))
    transform = Rand2DElastic(
        spacing=spacing,
        magnitude_range=(0.0, elastic),
        prob=1.0,
        rotate_range=np.radians(settings.rotation_degrees),
        scale_range=(settings.scale, settings.scale),
        translate_range=shift,
        mode="bilinear",
        padding_mode="zeros",  # of what is shifted so that air is 0
    )
    transform.set_random_state(seed=int(rng.integers(2**32)))
    moved = transform(torch.from_numpy(np.ascontiguousarray(hu - OUTSIDE_HU)))
    return np.asarray(moved) + np.float32(OUTSIDE_HU)
