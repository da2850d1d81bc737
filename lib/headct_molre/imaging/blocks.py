"""Averages over blocks of voxels: a coarser grid without aliasing."""

from __future__ import annotations

import numpy as np


def block_mean(hu: np.ndarray, affine: np.ndarray, factors: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Means over whole blocks of `factors` voxels along (slice, row, column), and the affine of the coarser grid.

    `hu` (s, r, c) HU of any number type, `affine` (4, 4) from its indices to RAS mm; returns float32. What does not fill a block at the
    far end of an axis is left out; a factor larger than its axis is the whole axis.
    """
    sizes = np.minimum(factors, hu.shape)
    counts = np.array(hu.shape) // sizes
    hu = hu[tuple(slice(count * size) for count, size in zip(counts, sizes, strict=True))]
    for axis in (2, 1, 0):
        if sizes[axis] > 1:
            index: list[slice] = [slice(None)] * 3
            total = np.zeros([counts[a] if a == axis else hu.shape[a] for a in range(3)], dtype=np.float32)
            for start in range(sizes[axis]):
                index[axis] = slice(start, None, sizes[axis])
                total += hu[tuple(index)]
            hu = total / np.float32(sizes[axis])
    coarse = affine.astype(np.float64)
    coarse[:3, 3] += coarse[:3, :3] @ ((sizes - 1) / 2)
    coarse[:3, :3] *= sizes
    return np.ascontiguousarray(hu, dtype=np.float32), coarse
