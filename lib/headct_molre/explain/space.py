"""A map on a model's grid, put on the grid of the scan that it was computed from."""

from __future__ import annotations

import numpy as np

from ..imaging.prepare import BODY_HU, Prepared
from ..imaging.volume import Volume
from .head import filled


def on_scan(values: np.ndarray, prepared: Prepared, volume: Volume) -> np.ndarray:
    """Values (S, H, W) on the grid of `prepared` -> (slice, row, column) float32 on the scan's own, 0 where it shows no head.

    A voxel of the scan takes the value of the model voxel in which its centre lies; where the scan's slices are thicker than the model's,
    the largest along its thickness, so that no slice of the map is lost between two of the scan. Nothing is interpolated: a smooth map
    would look finer than it is. The scan's affine may be sheared.
    """
    model_from_scan = np.linalg.inv(prepared.model_to_ras) @ volume.affine
    shown = np.flatnonzero(values.any((1, 2)))
    result = np.zeros(volume.hu.shape, np.float32)
    if len(shown) == 0:
        return result
    row, column = np.meshgrid(*(np.arange(side, dtype=np.float64) for side in volume.hu.shape[1:]), indexing="ij")
    in_plane = model_from_scan[:3, 1, None, None] * row + model_from_scan[:3, 2, None, None] * column
    layers = int(np.ceil(abs(model_from_scan[0, 0]) - 0.01))
    for number, section in enumerate(volume.hu):
        for layer in range(max(layers, 1)):
            height = number + (layer + 0.5) / max(layers, 1) - 0.5
            place = in_plane + (model_from_scan[:3, 0] * height + model_from_scan[:3, 3])[:, None, None]
            if place[0].max() < shown[0] - 0.5 or place[0].min() > shown[-1] + 0.5:
                continue
            index = np.floor(place + 0.5).astype(int)
            inside = ((index >= 0) & (index < np.array(values.shape)[:, None, None])).all(0)
            result[number, inside] = np.maximum(result[number, inside], values[tuple(index[:, inside])])
        if result[number].any():
            result[number, ~filled(section[None] > BODY_HU)[0]] = 0
    return result


def in_file_order(values: np.ndarray, affine: np.ndarray, file_affine: np.ndarray, file_shape: tuple[int, ...]) -> np.ndarray:
    """Values (slice, row, column) of a volume with `affine` -> the axes of the file that it was read from, (i, j, k) of `file_affine`.

    The reader permutes and flips axes and does nothing else, so the two affines say which. Raises ValueError where they do not differ by
    that alone.
    """
    file_from_volume = np.linalg.inv(file_affine) @ affine
    steps = np.round(file_from_volume[:3, :3])
    if not np.allclose(file_from_volume[:3, :3], steps, atol=1e-3) or not np.array_equal(np.abs(steps).sum(0), np.ones(3)):
        raise ValueError("the axes of the file are not those of the volume")
    order = np.abs(steps).argmax(1)  # which axis of the volume each axis of the file is
    ordered = values.transpose(order)
    backwards = tuple(axis for axis in range(3) if steps[axis, order[axis]] < 0)
    ordered = np.flip(ordered, backwards)
    if ordered.shape != tuple(file_shape):
        raise ValueError(f"the file has {file_shape} voxels, not {ordered.shape}")
    return ordered
