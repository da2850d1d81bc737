"""The grids on which models read a head: voxel size, field and height in the standard frame, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """A box of voxels in the standard frame.

    `spacing_mm` is (slice, row, column). `field_px` is the side of a slice in voxels, centred on the frame's axis. `lowest_mm` is the
    height of the centre of slice 0, `slices` how many there are. `trimmed` says that slices which the scan does not reach, or which show
    no head, are left out; otherwise they are there and hold air, so that the volume always has the same shape.
    """

    name: str
    spacing_mm: tuple[float, float, float]
    field_px: int
    lowest_mm: float
    slices: int
    trimmed: bool

    @property
    def standard_from_index(self) -> np.ndarray:
        """4 x 4: (slice, row, column, 1) to the standard frame in mm. Row 0 is anterior, column 0 the patient's right."""
        middle = (self.field_px - 1) / 2
        step, row, column = self.spacing_mm
        matrix = np.zeros((4, 4))
        matrix[:, 0] = (0, 0, step, 0)
        matrix[:, 1] = (0, -row, 0, 0)
        matrix[:, 2] = (-column, 0, 0, 0)
        matrix[:, 3] = (middle * column, middle * row, self.lowest_mm, 1)
        return matrix

    @property
    def centre_index(self) -> np.ndarray:
        """The index (slices, 4) of the centre of each slice, homogeneous."""
        middle = (self.field_px - 1) / 2
        return np.array([[s, middle, middle, 1.0] for s in range(self.slices)])


# From the foramen magnum and the sinuses to above the vertex (arXiv 2603.00675, section 3.1: 1 mm in plane, 4 mm slices).
SLICE_GRID = Grid("slices-4mm", (4.0, 1.0, 1.0), 256, -88.0, 46, trimmed=True)
