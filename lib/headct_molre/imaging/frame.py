"""Small tools of the alignment: rigid matrices, sampling a grid in another frame, a bounded simplex search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage, optimize

from .cavity import HeadGrid


def rigid(rotation: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """The 4 x 4 matrix that turns by `rotation` (3, 3) and takes the point `origin` (3,) mm to zero."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ origin
    return matrix


def about_x(angle: float) -> np.ndarray:
    """Rotation (3, 3) of the frame about its x axis by `angle` radians: y' = y cos + z sin, z' = z cos - y sin."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, sine], [0.0, -sine, cosine]])


def degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    """Angle in degrees of the rotation between two rigid matrices (4, 4)."""
    cosine = (np.trace(first[:3, :3] @ second[:3, :3].T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def grid_index(grid: HeadGrid, to_frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Indices (3, n) (k, j, i) on `grid` of points (n, 3) mm of the frame to which `to_frame` (4, 4) takes the grid's own."""
    from_frame = np.linalg.inv(to_frame)
    return ((points @ from_frame[:3, :3].T + from_frame[:3, 3] - grid.origin) / grid.spacing)[:, ::-1].T


def sample(source: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values (n,) of `source` (k, j, i), which lies on a grid, at indices (3, n) of it, linear; 0 outside."""
    return np.asarray(ndimage.map_coordinates(source, index, order=1, mode="constant", cval=0.0))


def refine(cost: Callable[[np.ndarray], float], start: np.ndarray, size: tuple[float, ...]) -> np.ndarray:
    """Where `cost` is least near `start` (p,), by a downhill simplex of initial extent `size` (p,)."""
    simplex = np.vstack([start, start + np.diag(size)])
    options = {"initial_simplex": simplex, "maxfev": 50 * len(start), "xatol": 1e-3, "fatol": 1e-5}
    return np.asarray(optimize.minimize(cost, start, method="Nelder-Mead", options=options).x)
