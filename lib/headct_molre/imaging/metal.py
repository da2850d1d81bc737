"""Metal in and around the skull: how much, and whether it lies where it disturbs the images of the brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .cavity import HeadGrid
from .volume import Volume

# Enamel and the densest petrous bone reach some 2,500 HU; clips, coils and fillings saturate 12 bits at 3,071.
METAL_HU = 2600.0
# Less than this is a voxel or two of noise in dense bone: a clip of 8 mm gives 0.03 ml.
LEAST_ML = 0.01
# Skull, scalp and what is fixed to them; the teeth lie some 35 mm or more below the brain.
AROUND_BRAIN_MM = 24.0
# A slice shows brain where it holds at least this much of the cavity.
BRAIN_CM2 = 15.0


@dataclass(frozen=True)
class Metal:
    """Volumes in ml: metal within 24 mm of the cavity, and metal further off in slices that show brain (its streaks cross it)."""

    head_ml: float
    beside_ml: float


def measure_metal(volume: Volume, grid: HeadGrid) -> Metal:
    """How much metal lies in the head, and how much beside it in the same slices. `grid` is `head_grid(volume)`.

    Fillings and other metal in slices without brain count as neither. A scale that ends below 2,600 HU hides metal.
    """
    dense = np.flatnonzero(volume.hu.max(axis=(1, 2)) > METAL_HU)
    if len(dense) == 0 or not grid.cavity.any():
        return Metal(0.0, 0.0)
    index = np.argwhere(volume.hu[dense] > METAL_HU)
    index[:, 0] = dense[index[:, 0]]
    voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    away = ndimage.distance_transform_edt(~grid.cavity) * grid.spacing
    place = np.round((volume.to_ras(index) - grid.origin) / grid.spacing).astype(int)[:, ::-1]
    place = np.clip(place, 0, np.array(grid.hu.shape) - 1)
    close = away[tuple(place.T)] <= AROUND_BRAIN_MM
    beside = ~close & (_brain_cm2(volume, grid, index[:, 0]) >= BRAIN_CM2)
    return Metal(float(close.sum()) * voxel_ml, float(beside.sum()) * voxel_ml)


def _brain_cm2(volume: Volume, grid: HeadGrid, slices: np.ndarray) -> np.ndarray:
    """Cross-section (n,) of the cavity in cm2 at each of the slices (n,), counted in layers as thick as the grid is coarse."""
    index_from_ras = np.linalg.inv(volume.affine)
    depth_mm = (grid.positions(grid.cavity) @ index_from_ras[0, :3] + index_from_ras[0, 3]) * volume.spacing_mm[0]
    layers = np.bincount(np.clip(depth_mm / grid.spacing, 0, None).astype(int), minlength=len(volume.hu) + 1) * grid.spacing**2 / 100
    return np.asarray(layers[np.clip(slices * volume.spacing_mm[0] / grid.spacing, 0, len(layers) - 1).astype(int)])
