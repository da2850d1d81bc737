"""The head on a coarse grid: bone, outside air and the intracranial cavity, for the gate and the alignment.

The cavity is what bone encloses when looking around from inside, so that craniectomies, fractures, thin bone, blood and
air inside the skull, and a scan that stops at the skull base do not open it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy import ndimage

from .blocks import block_mean
from .hounsfield import AIR_HU
from .volume import Volume

GRID_MM = 4.0
BONE_HU = 250.0
AIR_BELOW_HU = -400.0
LARGEST_CAVITY_ML = 2600.0
# What fills a skull, from fluid to clotted blood. Chest, jaw and neck hold fat and air beside it.
BRAIN_HU = (-10.0, 90.0)


@dataclass(frozen=True)
class HeadGrid:
    """A volume on an isotropic grid in some rigid frame.

    `hu` (k, j, i) float32 with axes superior, anterior, right (rising RAS z, y, x), -1000 outside the scan; `seen` (k, j, i)
    bool, True inside the scanned block; `origin` (3,) frame position (x, y, z) mm of voxel (0, 0, 0); `spacing` mm.
    """

    hu: np.ndarray
    seen: np.ndarray
    origin: np.ndarray
    spacing: float

    @cached_property
    def bone(self) -> np.ndarray:
        return self.hu > BONE_HU

    @cached_property
    def cavity(self) -> np.ndarray:
        """The intracranial cavity (k, j, i) bool; empty where no bone encloses anything."""
        return _enclosed_brain(self)

    def millilitres(self, mask: np.ndarray) -> float:
        """Volume in ml of a mask (k, j, i)."""
        return float(mask.sum()) * self.spacing**3 / 1000

    def positions(self, mask: np.ndarray) -> np.ndarray:
        """Frame positions (n, 3) (x, y, z) in mm of the voxels of a mask (k, j, i)."""
        return np.argwhere(mask)[:, ::-1] * self.spacing + self.origin


def head_grid(volume: Volume, spacing: float = GRID_MM, frame_from_ras: np.ndarray | None = None, half_mm: float | None = None) -> HeadGrid:
    """Resample a volume to an isotropic grid of `spacing` mm through its exact affine, shear included.

    `frame_from_ras` (4, 4) is a rigid matrix, identity by default; the grid spans the whole scan, or +-`half_mm` around the
    frame's origin. Blocks are averaged first, so that thin bone leaves its trace and noise averages out.
    """
    # Blocks of about half the spacing leave room for the interpolation.
    factors = [max(round(0.6 * spacing / step), 1) for step in volume.spacing_mm]
    blocks, affine = block_mean(volume.hu, volume.affine, (factors[0], factors[1], factors[2]))
    to_frame = (np.eye(4) if frame_from_ras is None else frame_from_ras) @ affine
    corners = np.array(list(product(*((0, size - 1) for size in blocks.shape)))) @ to_frame[:3, :3].T + to_frame[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    if half_mm is not None:
        low, high = np.full(3, -half_mm), np.full(3, half_mm)
    shape = np.maximum(np.ceil((high - low) / spacing).astype(int) + 1, 1)[::-1]
    from_frame = np.linalg.inv(to_frame)
    # Voxel (k, j, i) of the grid lies at low + spacing * (i, j, k) in the frame.
    matrix = from_frame[:3, :3][:, ::-1] * spacing
    offset = from_frame[:3, :3] @ low + from_frame[:3, 3]
    hu = ndimage.affine_transform(blocks, matrix, offset, tuple(shape), order=1, mode="nearest")
    seen = np.ones(tuple(shape), dtype=bool)
    grids = np.ogrid[tuple(slice(size) for size in shape)]
    for axis, size in enumerate(blocks.shape):
        index = sum(matrix[axis, n] * grids[n] for n in range(3)) + offset[axis]
        seen &= (index >= -0.5) & (index <= size - 0.5)
    hu[~seen] = AIR_HU
    return HeadGrid(hu=hu, seen=seen, origin=low, spacing=spacing)


def _outside_air(grid: HeadGrid) -> np.ndarray:
    """Air around the head (k, j, i): connected to a side of the scanned block, not the air inside sinuses or skull."""
    air = (grid.hu < AIR_BELOW_HU) & grid.seen
    labels, count = ndimage.label(air)
    if count == 0:
        return air
    # The first and last voxels seen along the lateral axes; top and bottom faces cut through the head.
    rim = grid.seen & ~ndimage.binary_erosion(grid.seen, structure=ndimage.generate_binary_structure(3, 1) & _LATERAL, border_value=0)
    sizes = np.bincount(labels.ravel())
    outside = np.zeros(count + 1, dtype=bool)
    touching = np.unique(labels[rim & air])
    outside[touching] = sizes[touching] > 30
    outside[0] = False
    return outside[labels]


_LATERAL = np.zeros((3, 3, 3), dtype=bool)
_LATERAL[1] = True


def _enclosed_brain(grid: HeadGrid) -> np.ndarray:
    """The region that bone encloses and that looks most like a brain: large, but not larger than any, and neither fat nor air."""
    hits, misses = look_around(grid.bone, _outside_air(grid), grid.seen)
    known = hits + misses
    inside = (known >= 12) & (misses <= 0.16 * known) & ~grid.bone & grid.seen
    opened = ndimage.binary_opening(inside, iterations=2)
    labels, count = ndimage.label(opened)
    if count == 0:
        return np.zeros_like(inside)
    # Sinuses and the air around a body in a bore are enclosed too, but hold no tissue.
    tissue = np.bincount(labels.ravel(), weights=((grid.hu > -100) & (grid.hu < 200)).ravel())
    voxels = np.bincount(labels.ravel())
    likeness = np.bincount(labels.ravel(), weights=((grid.hu > BRAIN_HU[0]) & (grid.hu < BRAIN_HU[1])).ravel()) / voxels - 0.5
    likeness[voxels * grid.spacing**3 / 1000 > LARGEST_CAVITY_ML] = 0.0
    weights = tissue * np.maximum(likeness, 0.01)
    weights[0] = 0
    core = labels == int(weights.argmax())
    grown = ndimage.binary_dilation(core, iterations=2, mask=inside)
    return np.asarray(ndimage.binary_closing(grown, iterations=2) & ~grid.bone & grid.seen | grown)


def look_around(bone: np.ndarray, outside: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From every voxel along 26 directions: how many rays meet bone first, and how many meet the outside air first.

    Masks (k, j, i) bool; returns two (k, j, i) int8. A ray that leaves the scanned block counts as neither.
    """
    state0 = np.where(bone, 1, np.where(outside, -1, 0)).astype(np.int8)
    settled = (state0 != 0) | ~seen
    hits = np.zeros(bone.shape, dtype=np.int8)
    misses = np.zeros(bone.shape, dtype=np.int8)
    for direction in product((-1, 0, 1), repeat=3):
        if direction == (0, 0, 0):
            continue
        axis = next(a for a in range(3) if direction[a])
        state = np.moveaxis(state0.copy(), axis, 0)
        fixed = np.moveaxis(settled, axis, 0)
        sideways = [direction[a] for a in range(3) if a != axis]
        target, source = _shifted(sideways)
        order = range(len(state) - 2, -1, -1) if direction[axis] > 0 else range(1, len(state))
        for index in order:
            ahead = np.zeros_like(state[index])
            ahead[target] = state[index + direction[axis]][source]
            np.copyto(state[index], ahead, where=~fixed[index])
        state = np.moveaxis(state, 0, axis)
        hits += state == 1
        misses += state == -1
    return hits, misses


def _shifted(sideways: list[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index pairs such that target voxels take the value of their neighbour one step further along `sideways`."""
    choices = {1: (slice(None, -1), slice(1, None)), 0: (slice(None), slice(None)), -1: (slice(1, None), slice(None, -1))}
    return tuple(choices[s][0] for s in sideways), tuple(choices[s][1] for s in sideways)
