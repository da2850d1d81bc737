"""Intravenous contrast in the phantom's vessels: circle of Willis, dural sinuses, cortical veins, choroid plexus."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from .anatomy import SOFT_TISSUE, Head, sagittal_sinus, tentorium_height, ventricle_distance
from .shapes import Canvas, coverage, ellipsoid

Point = tuple[float, float, float]
# Plain blood, and the share of the peak that the other side of the circulation reaches.
BLOOD_HU = 45.0
VEINS_IN_ARTERIAL_PHASE, ARTERIES_IN_VENOUS_PHASE = 0.35, 0.7
# Paths (mm, head frame) and radii (mm) of the arteries on the right, mirrored to the left; the basilar lies in the middle.
ARTERIES: tuple[tuple[tuple[Point, ...], float], ...] = (
    (((7, 14, -34), (8, 12, -25), (18, 9, -23), (32, 8, -20), (42, 6, -12)), 1.7),
    (((42, 6, -12), (49, 0, 0), (53, -12, 12)), 1.3),
    (((8, 12, -25), (3, 26, -22), (2, 40, -5), (2, 42, 15)), 1.2),
    (((0, -4, -24), (10, -10, -22), (18, -24, -18), (22, -45, -8)), 1.2),
    (((8, 12, -25), (10, -10, -22)), 0.9),
    (((0, -4, -54), (0, -3, -24)), 1.7),
)
DEEP_VEINS: tuple[tuple[tuple[Point, ...], float], ...] = (
    (((2, 0, 12), (2, -30, 4), (0, -38, -2)), 1.2),
    (((0, -38, -2), (0, -60, -6), (0, -78, -12)), 2.5),
)


@dataclass(frozen=True)
class Contrast:
    """Contrast medium: `hu` of the vessels that are at their peak, 100 (late) to 400 (angiography); which vessels those are."""

    hu: float
    phase: Literal["arterial", "venous"] = "venous"


def paint_contrast(contrast: Contrast, head: Head, brain: Canvas) -> None:
    """Fill the vessels of the brain's canvas, over whatever was planted there."""
    rise = contrast.hu - BLOOD_HU
    arteries = BLOOD_HU + rise * (1.0 if contrast.phase == "arterial" else ARTERIES_IN_VENOUS_PHASE)
    veins = BLOOD_HU + rise * (1.0 if contrast.phase == "venous" else VEINS_IN_ARTERIAL_PHASE)
    _paint_dural_sinuses(brain, veins)
    for path, radius in DEEP_VEINS:
        _paint_tube(brain, path, radius, veins)
    _paint_cortical_veins(head, brain, veins)
    ventricles = ventricle_distance(head, brain.points)
    for side in (-1, 1):
        plexus = np.minimum(ellipsoid(brain.points, (side * 19, -34, 7), (3.5, 8, 4)), ventricles)
        brain.paint(coverage(plexus), BLOOD_HU + 0.5 * (veins - BLOOD_HU), SOFT_TISSUE)
    for path, radius in ARTERIES:
        _paint_tube(brain, path, radius, arteries)


def _paint_dural_sinuses(brain: Canvas, hu: float) -> None:
    """Superior sagittal sinus (where the plain head has it), transverse sinuses and torcula."""
    x, y, z = brain.points
    brain.paint(coverage(sagittal_sinus(brain.points, brain.depth)), hu, SOFT_TISSUE)
    transverse = np.minimum(np.minimum(5 - brain.depth, 4 - np.abs(z - tentorium_height(brain.points))), -30 - y)
    brain.paint(coverage(transverse), hu, SOFT_TISSUE)
    brain.paint(coverage(np.minimum(7 - np.hypot(x, z + 14), np.minimum(6 - brain.depth, -50 - y))), hu, SOFT_TISSUE)


def _paint_cortical_veins(head: Head, brain: Canvas, hu: float) -> None:
    """Six thin veins on each side that run over the convexity to the sagittal sinus, 2 mm below the inner table."""
    rng = np.random.default_rng([head.seed, 4])
    radii = np.array(head.radii) - 2
    for side in (-1, 1):
        for toward in rng.permutation(np.linspace(-0.8, 0.8, 6)):
            angles = np.linspace(0.05, 0.9, 6)
            path = np.stack([side * np.sin(angles), toward * np.cos(angles) + 0.1 * angles, np.cos(angles)])
            path = path / np.linalg.norm(path, axis=0) * radii[:, None]
            _paint_tube(
                brain, tuple((float(a), float(b), float(c)) for a, b, c in path.T), float(rng.uniform(0.8, 1.3)), hu, mirrored=False
            )


def _paint_tube(brain: Canvas, path: tuple[Point, ...], radius: float, hu: float, mirrored: bool = True) -> None:
    """A tube of a radius in mm along a path (mm), and its mirror image."""
    for side in (-1, 1) if mirrored else (1,):
        corners = np.array(path, np.float32) * np.array([side, 1, 1], np.float32)
        low, high = corners.min(axis=0) - radius - 1, corners.max(axis=0) + radius + 1
        near = np.flatnonzero(((brain.points >= low[:, None]) & (brain.points <= high[:, None])).all(axis=0))
        points = brain.points[:, near]
        nearest = np.full(len(near), np.inf, np.float32)
        for start, stop in pairwise(corners):
            along = (stop - start) / max(float(np.sum((stop - start) ** 2)), 1e-6)
            share = np.clip(np.tensordot(along, points - start[:, None], 1), 0, 1)
            away = points - start[:, None] - (stop - start)[:, None] * share
            nearest = np.minimum(nearest, np.sqrt((away**2).sum(axis=0)))
        weight = coverage(np.minimum(radius - nearest, brain.depth[near]))
        brain.hu[near] += weight * (hu - brain.hu[near])
        brain.tissue[near[weight > 0.5]] = SOFT_TISSUE
