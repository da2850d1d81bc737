"""From HU and an alignment to a model's grid, 1 x 1 mm in plane and 4 mm slices if nothing else is asked, and to HU windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ..errors import StudyRefused
from .blocks import block_mean
from .grid import SLICE_GRID, Grid
from .storage import as_stored
from .volume import Volume

# (lower, upper) HU of the three channels: brain, subdural, bone (arXiv 2603.00675, section 3.1)
WINDOWS_HU = ((0.0, 80.0), (-20.0, 180.0), (-800.0, 2000.0))
# A slice shows the head where at least this area is denser than BODY_HU.
BODY_HU, HEAD_AREA_MM2 = -300.0, 2000.0
MINIMUM_HEAD_MM = 32.0
# A slice of the model is the mean of as many layers, where the scan is thin enough.
LAYERS = 2
# Air, for what the scan does not reach.
OUTSIDE_HU = -1000.0


@dataclass(frozen=True)
class Prepared:
    """A study on a model's grid.

    `hu` is (S, H, W) float32 rounded to the type of `storage`, slice 0 most inferior, row 0 anterior, column 0 on the
    patient's right. `model_to_ras` is 4 x 4 and takes (slice, row, column, 1) to scanner RAS millimetres.
    """

    hu: np.ndarray
    model_to_ras: np.ndarray

    @property
    def slice_centres_ras(self) -> np.ndarray:
        """RAS position (S, 3) in mm of the centre of each slice."""
        row, column = ((side - 1) / 2 for side in self.hu.shape[1:])
        index = np.array([[s, row, column, 1.0] for s in range(len(self.hu))])
        return (index @ self.model_to_ras.T)[:, :3]


def prepare(volume: Volume, standard_from_ras: np.ndarray, grid: Grid = SLICE_GRID) -> Prepared:
    """Resample once from the scanner's (possibly sheared) grid to the standard frame.

    Between voxels HU are interpolated linearly; where the scanner's are finer than the model's they are averaged, so that a thin
    slice's noise does not stand for 4 mm of brain. What lies outside the scanned field is -1000 HU. `standard_from_ras` is a rigid
    4 x 4 matrix from `imaging.align`. Raises StudyRefused where less than 32 mm of head are left.
    """
    ras_from_model = np.linalg.inv(standard_from_ras) @ grid.standard_from_index
    first, last = _scanned_slices(np.linalg.inv(volume.affine) @ ras_from_model, volume.hu.shape[0], grid)
    hu = averaged(volume, ras_from_model, range(first, last + 1), grid)
    step, row, column = grid.spacing_mm
    head = np.flatnonzero((hu > BODY_HU).sum((1, 2)) * row * column >= HEAD_AREA_MM2)
    if len(head) * step < MINIMUM_HEAD_MM:
        found = f"{len(head)} slices of {step:g} mm"
        raise StudyRefused("partial_coverage", f"Only {found} show the head; the models need {MINIMUM_HEAD_MM / step:.0f}.")
    if not grid.trimmed:
        hu = np.pad(hu, ((first, grid.slices - 1 - last), (0, 0), (0, 0)), constant_values=OUTSIDE_HU)
        return Prepared(as_stored(hu).astype(np.float32), ras_from_model)
    model_to_ras = ras_from_model.copy()
    model_to_ras[:3, 3] += ras_from_model[:3, 0] * (first + head[0])
    return Prepared(as_stored(hu[head[0] : head[-1] + 1]).astype(np.float32), model_to_ras)


def averaged(volume: Volume, ras_from_model: np.ndarray, slices: range, grid: Grid = SLICE_GRID) -> np.ndarray:
    """The volume on the given slices of a model's grid (len(slices), H, W), float32, finer voxels averaged."""
    thickness, height, width = grid.spacing_mm
    step, row, column = volume.spacing_mm
    layers = max(min(int(thickness / step + 0.02), LAYERS), 1)
    # A layer is a whole number of scanner slices thick, and no thicker than its share of the model's slice.
    factors = (
        max(int(thickness / layers / step + 0.02), 1),
        max(int(height / row + 0.02), 1),
        max(int(width / column + 0.02), 1),
    )
    blocks, affine = block_mean(volume.hu, volume.affine, factors)
    index_from_model = np.linalg.inv(affine) @ ras_from_model
    hu = np.zeros((len(slices), grid.field_px, grid.field_px), dtype=np.float32)
    # A layer of the first or last slice may lie beyond the scan's end; the slice it belongs to does not.
    beyond = 0.5 + abs(index_from_model[0, 0]) * (0.5 - 0.5 / layers)
    for layer in range(layers):
        shifted = index_from_model.copy()
        shifted[:3, 3] += index_from_model[:3, 0] * ((layer + 0.5) / layers - 0.5)
        sampled = resample(blocks, shifted, slices, order=1, outside=OUTSIDE_HU, beyond=beyond, field_px=grid.field_px)
        hu += sampled / np.float32(layers)
    return hu


def resample(
    array: np.ndarray,
    index_from_model: np.ndarray,
    slices: range,
    order: int,
    outside: float,
    beyond: float = 0.5,
    field_px: int = SLICE_GRID.field_px,
) -> np.ndarray:
    """Sample a (slice, row, column) array on the given slices of a model's grid: (len(slices), field_px, field_px).

    Up to half a voxel outside the array, and `beyond` slices above and below it, its edge is repeated; farther off lies `outside`.
    """
    between, down, along = (axis.reshape(3, 1, 1) for axis in index_from_model[:3, :3].T)
    pixels = np.arange(field_px)
    plane = down * pixels[:, None] + along * pixels + index_from_model[:3, 3].reshape(3, 1, 1)
    slack = np.array([beyond, 0.5, 0.5]).reshape(3, 1, 1)
    limit = np.array(array.shape).reshape(3, 1, 1) - 1
    sampled = np.empty((len(slices), field_px, field_px), array.dtype)
    # Slice by slice: the coordinates of all slices would be six times the result, and fresh memory of that size stops a server's other
    # threads while it is filled.
    for number, image in zip(slices, sampled, strict=True):
        index = plane + between * number
        np.copyto(index, 0, where=(index < 0) & (index > -slack))
        np.copyto(index, limit, where=(index > limit) & (index < limit + slack))
        map_coordinates(array, index, order=order, mode="constant", cval=outside, prefilter=False, output=image)
    return sampled


def windows(hu: np.ndarray, limits: Sequence[tuple[float, float]] = WINDOWS_HU) -> np.ndarray:
    """HU windows (lower, upper) scaled to 0..1, one channel each: (S, H, W) -> (S, C, H, W) float32."""
    slices, *plane = hu.shape
    scaled = np.empty((slices, len(limits), *plane), np.float32)
    # Slice by slice: what is worked on stays in the processor's cache, at three times the speed.
    for image, channels in zip(hu, scaled, strict=True):
        for (low, high), channel in zip(limits, channels, strict=True):
            np.subtract(image, low, out=channel)
            np.divide(channel, high - low, out=channel)
            np.clip(channel, 0, 1, out=channel)
    return scaled


def _scanned_slices(index_from_model: np.ndarray, scanned: int, grid: Grid) -> tuple[int, int]:
    """First and last slice of the grid whose centre the scan reaches."""
    centre = grid.centre_index @ index_from_model.T
    reached = np.flatnonzero((centre[:, 0] > -0.5) & (centre[:, 0] < scanned - 0.5))
    if len(reached) == 0:
        raise StudyRefused("partial_coverage", "The scan does not reach the part of the head that the models read.")
    return int(reached[0]), int(reached[-1])
