"""From HU and an alignment to the model's grid: 1 x 1 mm in plane, 4 mm slices, three HU windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ..errors import StudyRefused
from .blocks import block_mean
from .storage import as_stored
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
# A 4 mm slice of a thin-slice scan is the mean of as many layers.
LAYERS = 2


@dataclass(frozen=True)
class Prepared:
    """A study on the model's grid.

    `hu` is (S, 256, 256) float32 rounded to the type of `storage`, slice 0 most inferior, row 0 anterior, column 0 on the
    patient's right.
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
    """Resample once from the scanner's (possibly sheared) grid to the standard frame.

    Between voxels HU are interpolated linearly; where the scanner's are finer than the model's they are averaged, so that a thin
    slice's noise does not stand for 4 mm of brain. Slices that the scan does not reach, or that show no head, are left out; what lies
    outside the scanned field within a slice is -1000 HU. `standard_from_ras` is a rigid 4 x 4 matrix from `imaging.align`. Raises
    StudyRefused where too few slices are left.
    """
    ras_from_model = np.linalg.inv(standard_from_ras) @ model_grid()
    scanned = np.linalg.inv(volume.affine) @ ras_from_model
    first, last = _scanned_slices(scanned, volume.hu.shape[0])
    hu = averaged(volume, ras_from_model, range(first, last + 1))
    head = np.flatnonzero((hu > BODY_HU).sum((1, 2)) * SPACING_MM[1] * SPACING_MM[2] >= HEAD_AREA_MM2)
    if len(head) < MINIMUM_SLICES:
        raise StudyRefused("partial_coverage", f"Only {len(head)} slices of 4 mm show the head; the models need {MINIMUM_SLICES}.")
    model_to_ras = ras_from_model.copy()
    model_to_ras[:3, 3] += ras_from_model[:3, 0] * (first + head[0])
    return Prepared(as_stored(hu[head[0] : head[-1] + 1]).astype(np.float32), model_to_ras)


def averaged(volume: Volume, ras_from_model: np.ndarray, slices: range) -> np.ndarray:
    """The volume on the given slices of the model grid (len(slices), 256, 256), float32, finer voxels averaged."""
    step, row, column = volume.spacing_mm
    layers = max(min(int(SPACING_MM[0] / step + 0.02), LAYERS), 1)
    # A layer is a whole number of scanner slices thick, and no thicker than its share of the model's slice.
    factors = (max(int(SPACING_MM[0] / layers / step + 0.02), 1), max(int(1.0 / row + 0.02), 1), max(int(1.0 / column + 0.02), 1))
    blocks, affine = block_mean(volume.hu, volume.affine, factors)
    index_from_model = np.linalg.inv(affine) @ ras_from_model
    hu = np.zeros((len(slices), FIELD_PX, FIELD_PX), dtype=np.float32)
    # A layer of the first or last slice may lie beyond the scan's end; the slice it belongs to does not.
    beyond = 0.5 + abs(index_from_model[0, 0]) * (0.5 - 0.5 / layers)
    for layer in range(layers):
        shifted = index_from_model.copy()
        shifted[:3, 3] += index_from_model[:3, 0] * ((layer + 0.5) / layers - 0.5)
        hu += resample(blocks, shifted, slices, order=1, outside=-1000.0, beyond=beyond) / np.float32(layers)
    return hu


def model_grid() -> np.ndarray:
    """The whole model grid: index (slice, row, column, 1) to the standard frame in mm."""
    middle = (FIELD_PX - 1) / 2
    grid = np.zeros((4, 4))
    grid[:, 0] = (0, 0, SPACING_MM[0], 0)
    grid[:, 1] = (0, -SPACING_MM[1], 0, 0)
    grid[:, 2] = (-SPACING_MM[2], 0, 0, 0)
    grid[:, 3] = (middle * SPACING_MM[2], middle * SPACING_MM[1], LOWEST_MM, 1)
    return grid


def resample(array: np.ndarray, index_from_model: np.ndarray, slices: range, order: int, outside: float, beyond: float = 0.5) -> np.ndarray:
    """Sample a (slice, row, column) array on the given slices of the model grid: (len(slices), 256, 256).

    Up to half a voxel outside the array, and `beyond` slices above and below it, its edge is repeated; farther off lies `outside`.
    """
    grid = np.stack(np.meshgrid(np.asarray(slices, np.float64), np.arange(FIELD_PX), np.arange(FIELD_PX), indexing="ij"))
    index = np.tensordot(index_from_model[:3, :3], grid, 1) + index_from_model[:3, 3].reshape(3, 1, 1, 1)
    slack = np.array([beyond, 0.5, 0.5]).reshape(3, 1, 1, 1)
    limit = np.array(array.shape).reshape(3, 1, 1, 1) - 1
    index = np.where((index < 0) & (index > -slack), 0, index)
    index = np.where((index > limit) & (index < limit + slack), limit, index)
    return np.asarray(map_coordinates(array, index, order=order, mode="constant", cval=outside, prefilter=False, output=array.dtype))


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
