"""A volume in Hounsfield units with its true geometry."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Volume:
    """HU on an affine grid, sheared where the gantry was tilted.

    `hu` is (slice, row, column) in Hounsfield units: int16 where the scan holds whole numbers and nothing was interpolated, float32
    otherwise. Padding outside the scanned field is -1000; every value is finite and lies between -1024 and 32767.
    `affine` is 4 x 4 and takes (slice, row, column, 1) to RAS millimetres. Its columns need not be orthogonal.
    `facts` are measured values for the gate and the Prediction (tilt_degrees, slice_spacing_mm, modality, ...).
    """

    hu: np.ndarray
    affine: np.ndarray
    facts: dict[str, float | int | str | bool | None] = field(default_factory=dict)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Length of one step along slice, row and column in mm (along the axes, which a tilt makes oblique)."""
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(steps[0]), float(steps[1]), float(steps[2])

    def to_ras(self, index: np.ndarray) -> np.ndarray:
        """RAS positions (..., 3) in mm of voxel indices (..., 3) given as (slice, row, column)."""
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]
