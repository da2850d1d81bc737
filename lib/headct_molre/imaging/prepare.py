"""From HU and an alignment to the model's grid: 1 x 1 mm in plane, 4 mm slices, three HU windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ..errors import StudyRefused
from .volume import Volume

# (lower, upper) HU of the three channels: brain, subdural, bone (arXiv 2603.00675, section 3.1)
WINDOWS_HU = ((0.0, 80.0), (-20.0, 180.0), (-800.0, 2000.0))
SPACING_MM = (4.0, 1.0, 1.0)
FIELD_PX = 256
# Slices of the standard frame: from the foramen magnum and the sinuses to above the vertex.
LOWEST_MM, HIGHEST_MM = -88.0, 92.0
# A slice shows the head where at least this area is denser than BODY_HU.
BODY_HU, HEAD_AREA_MM2 = -300.0, 2000.0
MINIMUM_SLICES = 8


@dataclass(frozen=True)
class Prepared:
    """A study on the model's grid.

    `hu` is (S, 256, 256) float32, slice 0 most inferior, row 0 anterior, column 0 on the patient's right.
    `model_to_ras` is 4 x 4 and takes (slice, row, column, 1) to scanner RAS millimetres.
    """

    hu: np.ndarray
    model_to_ras: np.ndarray

    @property
    def slice_centres_ras(self) -> np.ndarray:
        """RAS position (S, 3) in mm of the centre of each slice."""
        middle = (FIELD_PX - 1) / 2
        index = np.array([[s, middle, middle, 1.0] for s in range(len(self.hu))])
        return (index @ self.model_to_ras.T)[:, :3]


def prepare(volume: Volume, standard_from_ras: np.ndarray) -> Prepared:
    """Resample once, linearly, from the scanner's (possibly sheared) grid to the standard frame.

    Slices that the scan does not reach, or that show no head, are left out; what lies outside the scanned field within a
    slice is -1000 HU. `standard_from_ras` is a rigid 4 x 4 matrix from `imaging.align`. Raises StudyRefused where too
    few slices are left.
    """
    standard_from_model = model_grid()
    ras_from_model = np.linalg.inv(standard_from_ras) @ standard_from_model
    index_from_model = np.linalg.inv(volume.affine) @ ras_from_model
    first, last = _scanned_slices(index_from_model, volume.hu.shape[0])
    hu = resample(volume.hu, index_from_model, range(first, last + 1), order=1, outside=-1000.0)
    head = np.flatnonzero((hu > BODY_HU).sum((1, 2)) * SPACING_MM[1] * SPACING_MM[2] >= HEAD_AREA_MM2)
    if len(head) < MINIMUM_SLICES:
        raise StudyRefused("partial_coverage", f"Only {len(head)} slices of 4 mm show the head; the models need {MINIMUM_SLICES}.")
    model_to_ras = ras_from_model.copy()
    model_to_ras[:3, 3] += ras_from_model[:3, 0] * (first + head[0])
    return Prepared(hu[head[0] : head[-1] + 1], model_to_ras)


def model_grid() -> np.ndarray:
    """The whole model grid: index (slice, row, column, 1) to the standard frame in mm."""
    middle = (FIELD_PX - 1) / 2
    grid = np.zeros((4, 4))
    grid[:, 0] = (0, 0, SPACING_MM[0], 0)
    grid[:, 1] = (0, -SPACING_MM[1], 0, 0)
    grid[:, 2] = (-SPACING_MM[2], 0, 0, 0)
    grid[:, 3] = (middle * SPACING_MM[2], middle * SPACING_MM[1], LOWEST_MM, 1)
    return grid


def resample(array: np.ndarray, index_from_model: np.ndarray, slices: range, order: int, outside: float) -> np.ndarray:
    """Sample a (slice, row, column) array on the given slices of the model grid: (len(slices), 256, 256)."""
    grid = np.stack(np.meshgrid(np.asarray(slices, np.float64), np.arange(FIELD_PX), np.arange(FIELD_PX), indexing="ij"))
    index = np.tensordot(index_from_model[:3, :3], grid, 1) + index_from_model[:3, 3].reshape(3, 1, 1, 1)
    # Half a voxel of slack, so that a model slice on the edge of the first or last scanned slice is not cut to air.
    limit = np.array(array.shape).reshape(3, 1, 1, 1) - 1
    index = np.where((index < 0) & (index > -0.5), 0, index)
    index = np.where((index > limit) & (index < limit + 0.5), limit, index)
    return map_coordinates(array, index, order=order, mode="constant", cval=outside, prefilter=False, output=np.float32)


def windows(hu: np.ndarray) -> np.ndarray:
    """The three HU windows scaled to 0..1: (S, H, W) -> (S, 3, H, W) float32."""
    channels = [np.clip((hu - low) / (high - low), 0, 1) for low, high in WINDOWS_HU]
    return np.stack(channels, axis=1).astype(np.float32)


def _scanned_slices(index_from_model: np.ndarray, scanned: int) -> tuple[int, int]:
    """First and last slice of the model grid whose centre the scan reaches."""
    count = int((HIGHEST_MM - LOWEST_MM) / SPACING_MM[0]) + 1
    middle = (FIELD_PX - 1) / 2
    centre = np.array([[s, middle, middle, 1.0] for s in range(count)]) @ index_from_model.T
    reached = np.flatnonzero((centre[:, 0] > -0.5) & (centre[:, 0] < scanned - 0.5))
    if len(reached) == 0:
        raise StudyRefused("partial_coverage", "The scan does not reach the part of the head that the models read.")
    return int(reached[0]), int(reached[-1])
