"""Motion between slices: does the skull jump from one slice to the next where it should only taper?

Neighbouring slices are registered to each other in their plane. A still head gives steps that change slowly from slice to slice;
a jerk is one step, and jitter many, that do not. Motion along the slice axis, nodding, and motion while a single slice was
taken (blur, streaks) are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .cavity import HeadGrid
from .metal import METAL_HU
from .volume import Volume

PIXEL_MM = 2.0
STEP_MM = 2.2
# Soft tissue against bone and air: the edges that the registration holds on to.
LOW_HU, HIGH_HU = 0.0, 300.0
MARGIN_MM = 10.0
# Towards skull base and vertex the bone changes too much from slice to slice: slices with less than this share of the largest
# cross-section are not compared, and the outer steps of the rest only say what to expect of the others.
COMPARED_SHARE = 0.35
UNJUDGED_SHARE = 0.15
# A jerk stands out from the steps around it at least so much; at the skull base all of them are uneven.
STANDS_OUT = 3.0
FEWEST_STEPS = 6
# 95 of 96 still phantoms have less than 1.6 mm (one 2.6), all less than 1.6 degrees and 0.13 mm; a real scan 0.3, 0.8 and 0.06. A jerk
# of 2 mm shows as 1.4 to 2.5, of 3 mm as 3.0 and more; a turn of 2 degrees as 1.5 to 2.8; jitter of 0.25 mm as 0.26 and more. Of 40
# phantoms that played no part in this choice, 2 were taken for moved (2.2 and 2.6 mm, at the skull base).
SHIFT_MM = 1.8
TURN_DEGREES = 1.7
UNSTEADINESS_MM = 0.3
# Differences (HU) beyond this count as anatomy that is new in a slice, and are played down.
NEW_ANATOMY_HU = 8.0
FLATTEST_EDGE_HU_PER_MM = 3.0
RADIUS_MM = 80.0


@dataclass(frozen=True)
class Motion:
    """The largest sudden shift in mm and turn in degrees between two slices, and the median unsteadiness of all steps in mm."""

    shift_mm: float
    turn_degrees: float
    unsteadiness_mm: float

    @property
    def suspected(self) -> bool:
        """Whether the head moved between slices."""
        return self.shift_mm > SHIFT_MM or self.turn_degrees > TURN_DEGREES or self.unsteadiness_mm > UNSTEADINESS_MM


def measure_motion(volume: Volume, grid: HeadGrid) -> Motion | None:
    """How far neighbouring slices are displaced against each other; None where fewer than 7 slices show enough of the brain.

    `grid` is `head_grid(volume)`. In a volume that was interpolated to even spacing (fact `resampled`), slices drift along
    their rows by uneven amounts, so that only displacements along the columns count.
    """
    steps = _steps(volume, grid)
    if len(steps) < FEWEST_STEPS:
        return None
    if volume.facts.get("resampled"):
        steps[:, 0] = 0.0
    # Odd reflection carries the taper on past both ends.
    padded = np.pad(steps, ((2, 2), (0, 0)), mode="reflect", reflect_type="odd")
    expected = np.median(np.stack([padded[start : start + len(steps)] for start in range(5)]), axis=0)
    sudden = np.abs(steps - expected)
    shift = np.hypot(sudden[:, 0], sudden[:, 1])
    return Motion(_outstanding(shift), float(np.degrees(_outstanding(sudden[:, 2]) / RADIUS_MM)), float(np.median(shift)))


def _outstanding(sudden: np.ndarray) -> float:
    """The largest of the sudden displacements (n,) that stands out from the three on each side of it, 0 where none does."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(sudden, 3, mode="reflect"), 7)
    typical = np.median(np.delete(around, 3, axis=1), axis=1)
    ends = int(UNJUDGED_SHARE * len(sudden))
    return float(np.where(sudden > STANDS_OUT * typical, sudden, 0.0)[ends : len(sudden) - ends].max())


def _steps(volume: Volume, grid: HeadGrid) -> np.ndarray:
    """Displacement (n, 3) between neighbouring slices: mm along rows, mm along columns, mm of turn at 80 mm from the middle."""
    near = ndimage.binary_dilation(grid.cavity, iterations=max(round(MARGIN_MM / grid.spacing), 1))
    index_from_ras = np.linalg.inv(volume.affine)
    index = grid.positions(near) @ index_from_ras[:3, :3].T + index_from_ras[:3, 3]
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, volume.hu.shape)
    size = np.array(volume.spacing_mm)
    factors = np.maximum(np.round(np.array([STEP_MM, PIXEL_MM, PIXEL_MM]) / size).astype(int), 1)
    count = (high - low) // factors
    if (count < 2).any():
        return np.zeros((0, 3))
    # Thin slices are skipped, not averaged: a jerk then lies in one step and not, halved, in two.
    picked = volume.hu[low[0] : low[0] + count[0] * factors[0] : factors[0]]
    picked = picked[:, low[1] : low[1] + count[1] * factors[1], low[2] : low[2] + count[2] * factors[2]]
    blocks = np.clip(picked, LOW_HU, HIGH_HU).astype(np.float32)
    blocks = blocks.reshape(count[0], count[1], factors[1], count[2], factors[2]).mean(axis=(2, 4))
    first = low + (factors - 1) * [0.0, 0.5, 0.5]
    near, cavity = (_on_blocks(mask, grid, volume.affine, first, factors, tuple(count)) for mask in (near, grid.cavity))
    area = cavity.sum(axis=(1, 2))
    compared = area > COMPARED_SHARE * area.max()
    image = ndimage.gaussian_filter(blocks, (0, 1, 1))
    pixel = factors[1:] * size[1:]
    down, across = np.gradient(image, pixel[0], axis=1), np.gradient(image, pixel[1], axis=2)
    y, x = np.meshgrid(*((np.arange(n) - n / 2) * p / RADIUS_MM for n, p in zip(count[1:], pixel, strict=True)), indexing="ij")
    steps = []
    pairs = np.flatnonzero(compared[:-1] & compared[1:])
    for k in pairs:
        edge_down, edge_across = (down[k] + down[k + 1]) / 2, (across[k] + across[k + 1]) / 2
        edge = (near[k] | near[k + 1]) & (np.hypot(edge_down, edge_across) > FLATTEST_EDGE_HU_PER_MM)
        steps.append(_step(edge_down[edge], edge_across[edge], (image[k] - image[k + 1])[edge], y[edge], x[edge]))
    streaked = picked.max(axis=(1, 2)) > METAL_HU
    return _without(np.array(steps).reshape(-1, 3), (streaked[:-1] | streaked[1:])[pairs])


def _without(steps: np.ndarray, streaked: np.ndarray) -> np.ndarray:
    """Steps (n, 3) with those of slices that hold metal filled in from the others: streaks look like displacement."""
    clean = np.flatnonzero(~streaked)
    if len(clean) == 0:
        return steps[:0]
    return np.stack([np.interp(np.arange(len(steps)), clean, column[clean]) for column in steps.T], axis=1)


def _step(down: np.ndarray, across: np.ndarray, difference: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Shift and turn (3,) of one slice against the next, with the taper as two scales, by reweighted least squares.

    All (n,): image gradients in HU/mm, difference in HU, place in units of 80 mm (Lucas and Kanade 1981; weights of Geman and McClure).
    """
    model = np.stack([down, across, across * y - down * x, down * y, across * x], axis=1)
    weight = np.ones_like(difference)
    for _ in range(5):
        weighted = model * weight[:, None]
        found = np.linalg.solve(weighted.T @ model + 1e-3 * np.eye(5), weighted.T @ difference)
        weight = 1 / (1 + ((difference - model @ found) / NEW_ANATOMY_HU) ** 2)
    return np.asarray(found[:3])


def _on_blocks(
    mask: np.ndarray, grid: HeadGrid, affine: np.ndarray, first: np.ndarray, factors: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """A mask of the grid at the middle of every block."""
    matrix = (affine[:3, :3] * factors / grid.spacing)[::-1]
    offset = ((affine[:3, :3] @ first + affine[:3, 3] - grid.origin) / grid.spacing)[::-1]
    return np.asarray(ndimage.affine_transform(mask.astype(np.uint8), matrix, offset, shape, order=0) > 0)
