"""Implicit shapes in head coordinates (RAS, mm): approximate signed distances, positive inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def ellipsoid(points: np.ndarray, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """First-order distance in mm to an ellipsoid's surface, positive inside, for points (3, N)."""
    x = (points[0] - np.float32(centre[0])) / np.float32(radii[0])
    y = (points[1] - np.float32(centre[1])) / np.float32(radii[1])
    z = (points[2] - np.float32(centre[2])) / np.float32(radii[2])
    q = np.sqrt(x * x + y * y + z * z) + np.float32(1e-4)
    slope = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2, dtype=np.float32) / q + np.float32(1e-4)
    return (1 - q) / slope


def coverage(distance: np.ndarray, edge_mm: float = 1.0) -> np.ndarray:
    """Share of a voxel inside a shape, from its signed distance, with a soft edge of `edge_mm`."""
    return np.clip(distance / np.float32(edge_mm) + np.float32(0.5), 0, 1)


def waves(points: np.ndarray, rng: np.random.Generator, count: int, wavelength_mm: float) -> np.ndarray:
    """A smooth random field of unit variance: `count` plane waves in random directions."""
    field = np.zeros(points.shape[1], np.float32)
    for _ in range(count):
        direction = rng.normal(size=3)
        k = direction / np.linalg.norm(direction) * 2 * np.pi / (wavelength_mm * rng.uniform(0.8, 1.25))
        field += np.sin(np.tensordot(k.astype(np.float32), points, 1) + np.float32(rng.uniform(0, 2 * np.pi)))
    return field * np.float32(np.sqrt(2 / count))


@dataclass
class Canvas:
    """Points of the head with what has been painted on them so far.

    `points` (3, N) RAS mm in the head frame; `hu` (N,) Hounsfield units; `tissue` (N,) ids of `anatomy.TISSUES` and,
    for lesions, of `lesions.DRAWABLE`; `depth` (N,) distance in mm below the inner table of the skull.
    """

    points: np.ndarray
    hu: np.ndarray
    tissue: np.ndarray
    depth: np.ndarray

    def paint(self, weight: np.ndarray, hu: float | np.ndarray, tissue: int) -> None:
        """Mix `hu` in with a weight of 0..1 for each point; the majority decides the tissue id."""
        self.hu += weight * (hu - self.hu)
        self.tissue[weight > 0.5] = tissue

    def take(self, where: np.ndarray) -> Canvas:
        """A canvas of the points in a boolean mask (copies)."""
        return Canvas(self.points[:, where], self.hu[where], self.tissue[where], self.depth[where])
