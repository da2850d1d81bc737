"""Pitch and height of a head: the outline of its cranial cavity near the midline, fitted by that of our own mean head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cavity import HeadGrid
from .frame import about_x, grid_index, refine, sample
from .outline import ANGLES_DEGREES, OUTLINE_MM

SLAB_MM = np.arange(-18.0, 19.0, 6.0)
PLANE_MM = np.arange(-115.0, 116.0, 5.0)
EDGE_MM = 10.0
# Heads differ in size by some 10 %; more is the sign of a fit gone astray.
LARGEST_SCALE = 0.12
# Soft tissue outside the cavity may be brain under a craniectomy, which no bone encloses, as well as scalp or neck: nothing is known
# there. Bone and air are surely outside.
SOFT_HU = (-30.0, 100.0)


@dataclass(frozen=True)
class OutlineFit:
    """Where the outline lies in a frame whose x axis is normal to the mirror plane.

    `pitch` radians about x; `along` and `above` mm of the outline's origin, in the pitched frame; `scale` logarithm of the head's size
    against the mean head; `overlap` 0..1 (Dice) of the outline and what was found, where the scan reaches.
    """

    pitch: float
    along: float
    above: float
    scale: float
    overlap: float

    @property
    def vertex(self) -> float:
        """Height in mm of the outline's vertex over its origin."""
        return float(np.exp(self.scale) * OUTLINE_MM[ANGLES_DEGREES == 90][0])

    def placed(self, to_midline: np.ndarray) -> np.ndarray:
        """The matrix (4, 4) to the frame of the outline, from the one to the frame in which it was fitted."""
        to_outline = np.eye(4)
        to_outline[:3, :3] = about_x(self.pitch)
        to_outline[:3, 3] = 0.0, -self.along, -self.above
        return np.asarray(to_outline @ to_midline)


def fit_outline(grid: HeadGrid, to_frame: np.ndarray, starts_degrees: tuple[float, ...]) -> OutlineFit:
    """The best of the fits that begin at the given pitches.

    `to_frame` (4, 4) takes the grid's frame to one whose plane x = 0 is the mirror plane. Only what was scanned is compared, so that a
    scan that stops at the skull base is not pulled towards a whole head; what is soft tissue outside the cavity counts as unknown.
    """
    centre = to_frame[:3, :3] @ grid.positions(grid.cavity).mean(axis=0) + to_frame[:3, 3]
    forward, up = np.meshgrid(PLANE_MM + centre[1], PLANE_MM + centre[2], indexing="ij")
    plane = np.stack([forward.ravel(), up.ravel()], axis=1)
    points = np.concatenate([np.column_stack([np.full(len(plane), x), plane]) for x in SLAB_MM])
    index = grid_index(grid, to_frame, points)

    def share(mask: np.ndarray) -> np.ndarray:
        return sample(mask.astype(np.float32), index).reshape(len(SLAB_MM), -1)

    inside, seen = share(grid.cavity), share(grid.seen) > 0.99
    bare = ~grid.cavity & (grid.hu > SOFT_HU[0]) & (grid.hu < SOFT_HU[1])
    weight = seen.mean(axis=0) * (1 - (share(bare) * seen).mean(axis=0))
    found = (inside * seen).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)

    def expected(parameters: np.ndarray) -> np.ndarray:
        pitch, along, above, scale = parameters
        ahead = (np.cos(pitch) * plane[:, 0] + np.sin(pitch) * plane[:, 1] - along) / np.exp(scale)
        height = (np.cos(pitch) * plane[:, 1] - np.sin(pitch) * plane[:, 0] - above) / np.exp(scale)
        angle = np.degrees(np.arctan2(height, ahead))
        radius = np.interp(angle, ANGLES_DEGREES, OUTLINE_MM, period=360)
        return np.asarray(np.clip(0.5 + (radius - np.hypot(ahead, height)) / EDGE_MM, 0.0, 1.0))

    def cost(parameters: np.ndarray) -> float:
        return float((weight * (expected(parameters) - found) ** 2).mean() + 0.1 * max(abs(parameters[3]) - LARGEST_SCALE, 0.0))

    results = []
    for start in np.radians(starts_degrees):
        cosine, sine = np.cos(start), np.sin(start)
        guess = np.array([start, cosine * centre[1] + sine * centre[2], cosine * centre[2] - sine * centre[1] - 5.0, 0.0])
        results.append(refine(cost, guess, (np.radians(5), 5.0, 5.0, 0.05)))
    best = min(results, key=cost)
    fitted = expected(best)
    overlap = 2 * (weight * fitted * found).sum() / max(float((weight * (fitted**2 + found**2)).sum()), 1e-6)
    pitch, along, above, scale = (float(value) for value in best)
    return OutlineFit(pitch, along, above, scale, float(overlap))
