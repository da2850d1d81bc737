"""Rigid alignment of a head to the standard frame, from the mirror symmetry and the sagittal outline of the skull's cavity.

Standard frame: RAS directions in mm. x = 0 is the midsagittal plane. The pitch is the one in which the cavity's outline near the
midline fits that of the phantom's mean head best (`outline`). y = 0 is the middle of that outline's
length. The vertex of the inner table lies at z = +70, wherever the scan stops below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, optimize

from .cavity import HeadGrid, head_grid
from .outline import ANGLES_DEGREES, OUTLINE_MM
from .volume import Volume

VERTEX_MM = 70.0
CAP_MM = 85.0
SLAB_MM = np.arange(-18.0, 19.0, 6.0)
SMALLEST_CAVITY_ML = 250.0
FINE_GRID_MM = 3.0
FINE_HALF_MM = 120.0
LOWEST_CONFIDENCE = 0.3


@dataclass(frozen=True)
class Alignment:
    """`standard_from_ras` (4, 4) rigid, scanner RAS mm to standard-frame mm; `confidence` 0..1; `method` "symmetry" or "scanner frame"."""

    standard_from_ras: np.ndarray
    confidence: float
    method: str


def align(volume: Volume, grid: HeadGrid | None = None) -> Alignment:
    """The rigid matrix that takes a roughly upright head (up to about 35 degrees off) to the standard frame.

    A coarse search over yaw and roll for the plane of best mirror symmetry, then two refinements on grids already aligned, so
    that the sampling does not depend on how the head lay. Where no cavity is found or its symmetry is poor (confidence
    below 0.3), the scanner's directions are kept and only the origin is moved. Deterministic. `grid` is `head_grid(volume)` where
    the caller has it already.
    """
    grid = head_grid(volume) if grid is None else grid
    if _millilitres(grid) < SMALLEST_CAVITY_ML:
        return _scanner_frame(grid, 0.0)
    to_frame = _moved(np.eye(3), grid.positions(grid.cavity).mean(axis=0))
    to_frame = _step(grid, to_frame, coarse=True)[0] @ to_frame
    for _ in range(2):
        fine = head_grid(volume, FINE_GRID_MM, to_frame, FINE_HALF_MM)
        if _millilitres(fine) < SMALLEST_CAVITY_ML:
            return _scanner_frame(grid, 0.0)
        correction, confidence = _step(fine, np.eye(4), coarse=False)
        to_frame = correction @ to_frame
    if confidence < LOWEST_CONFIDENCE:
        return _scanner_frame(grid, confidence)
    return Alignment(standard_from_ras=to_frame, confidence=confidence, method="symmetry")


def _step(grid: HeadGrid, to_frame: np.ndarray, coarse: bool) -> tuple[np.ndarray, float]:
    """One estimate: the rigid correction (4, 4) to be applied after `to_frame` (grid frame to current frame), and its confidence."""
    cavity = grid.positions(grid.cavity) @ to_frame[:3, :3].T + to_frame[:3, 3]
    normal, offset, correlation = _mirror_plane(grid, to_frame, cavity, coarse)
    forward = np.array([0.0, 1.0, 0.0]) - normal[1] * normal
    forward /= np.linalg.norm(forward)
    upright = np.stack([normal, forward, np.cross(normal, forward)])
    pitch, middle, fit = _outline_pitch(grid, to_frame, upright, offset, coarse)
    cosine, sine = np.cos(pitch), np.sin(pitch)
    level = np.array([[1.0, 0.0, 0.0], [0.0, cosine, sine], [0.0, -sine, cosine]])
    vertex = _vertex(cavity @ (level @ upright)[2], grid.spacing)
    confidence = np.clip((correlation - 0.5) / 0.4, 0, 1) * np.clip((fit - 0.6) / 0.3, 0, 1) * np.clip(_millilitres(grid) / 600, 0, 1)
    correction = np.eye(4)
    correction[:3, :3] = level @ upright
    correction[:3, 3] = -offset, -middle, VERTEX_MM - vertex
    return correction, float(confidence)


def _mirror_plane(grid: HeadGrid, to_frame: np.ndarray, cavity: np.ndarray, coarse: bool) -> tuple[np.ndarray, float, float]:
    """Unit normal (3,) and offset in mm of the plane of best mirror symmetry in the current frame, and the correlation across it.

    Compared are the skull and the brain within CAP_MM + 15 mm of the vertex, where neither the face nor the end of the scan disturbs.
    """
    # Bone counts no more than its edges: without the upper limit, dense bone would drown the brain's own symmetry.
    image = ndimage.gaussian_filter(np.clip(grid.hu, -100, 400), 4.0 / grid.spacing)
    near = ndimage.binary_dilation(grid.cavity, iterations=max(int(12 / grid.spacing), 1)) & grid.seen
    points = grid.positions(near) @ to_frame[:3, :3].T + to_frame[:3, 3]
    points = points[points[:, 2] > cavity[:, 2].max() - CAP_MM - 15]
    points = points[:: max(len(points) // 6000, 1)]
    seen = grid.seen.astype(np.float32)
    here = _sample(grid, to_frame, points, image)

    def mirrored(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        normal = _normal(parameters)
        across = points - 2 * (points @ normal - parameters[2])[:, None] * normal
        return _sample(grid, to_frame, across, image), _sample(grid, to_frame, across, seen) > 0.99

    def cost(parameters: np.ndarray) -> float:
        there, valid = mirrored(parameters)
        return float(np.abs(here - there)[valid].mean()) if valid.sum() > 0.3 * len(valid) else 1e3

    starts = [np.zeros(3)]
    if coarse:
        angles = np.radians(np.arange(-40, 41, 10))
        middle = cavity.mean(axis=0)
        tried = [np.array([yaw, roll, middle @ _normal(np.array([yaw, roll, 0.0]))]) for yaw in angles for roll in angles]
        starts = sorted(tried, key=cost)[:3]
    size = (np.radians(6), np.radians(6), 6.0) if coarse else (np.radians(2), np.radians(2), 2.0)
    best = min((_refine(cost, start, size) for start in starts), key=cost)
    there, valid = mirrored(best)
    correlation = float(np.corrcoef(here[valid], there[valid])[0, 1]) if valid.any() and np.ptp(here[valid]) > 0 else 0.0
    return _normal(best), float(best[2]), correlation if np.isfinite(correlation) else 0.0


def _refine(cost: Callable[[np.ndarray], float], start: np.ndarray, size: tuple[float, ...]) -> np.ndarray:
    simplex = np.vstack([start, start + np.diag(size)])
    options = {"initial_simplex": simplex, "maxfev": 50 * len(start), "xatol": 1e-3, "fatol": 1e-5}
    return np.asarray(optimize.minimize(cost, start, method="Nelder-Mead", options=options).x)


def _normal(parameters: np.ndarray) -> np.ndarray:
    yaw, roll = parameters[:2]
    return np.array([np.cos(roll) * np.cos(yaw), np.cos(roll) * np.sin(yaw), np.sin(roll)])


def _outline_pitch(grid: HeadGrid, to_frame: np.ndarray, upright: np.ndarray, offset: float, coarse: bool) -> tuple[float, float, float]:
    """Pitch in radians, middle of the outline's length in mm in the pitched frame, and overlap 0..1 (Dice) with the outline.

    Only what was scanned is compared, so that a scan that stops at the skull base is not pulled towards a whole head.
    `upright` (3, 3) takes the current frame to one whose x axis is the mirror normal, `offset` mm from the origin.
    """
    frame_from_upright = upright.T
    centre = upright @ (grid.positions(grid.cavity).mean(axis=0) @ to_frame[:3, :3].T + to_frame[:3, 3])
    line = np.arange(-115.0, 116.0, 5.0)
    forward, up = np.meshgrid(line + centre[1], line + centre[2], indexing="ij")
    plane = np.stack([forward.ravel(), up.ravel()], axis=1)
    points = np.concatenate([np.column_stack([np.full(len(plane), offset + x), plane]) for x in SLAB_MM]) @ frame_from_upright.T
    inside = _sample(grid, to_frame, points, grid.cavity.astype(np.float32)).reshape(len(SLAB_MM), -1)
    seen = _sample(grid, to_frame, points, grid.seen.astype(np.float32)).reshape(len(SLAB_MM), -1) > 0.99
    weight = seen.mean(axis=0)
    found = (inside * seen).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)

    def expected(parameters: np.ndarray) -> np.ndarray:
        pitch, along, above, scale = parameters
        ahead = (np.cos(pitch) * plane[:, 0] + np.sin(pitch) * plane[:, 1] - along) / np.exp(scale)
        height = (np.cos(pitch) * plane[:, 1] - np.sin(pitch) * plane[:, 0] - above) / np.exp(scale)
        angle = np.degrees(np.arctan2(height, ahead))
        radius = np.interp(angle, ANGLES_DEGREES, OUTLINE_MM, period=360)
        return np.asarray(np.clip(0.5 + (radius - np.hypot(ahead, height)) / 10.0, 0.0, 1.0))

    def cost(parameters: np.ndarray) -> float:
        # Heads differ in size by some 10 %; more is the sign of a fit gone astray.
        return float((weight * (expected(parameters) - found) ** 2).mean() + 0.1 * max(abs(parameters[3]) - 0.12, 0.0))

    results = []
    for start in np.radians((-30, -15, 0, 15, 30) if coarse else (0,)):
        cosine, sine = np.cos(start), np.sin(start)
        guess = np.array([start, cosine * centre[1] + sine * centre[2], cosine * centre[2] - sine * centre[1] - 5.0, 0.0])
        results.append(_refine(cost, guess, (np.radians(5), 5.0, 5.0, 0.05)))
    best = min(results, key=cost)
    fitted = expected(best)
    overlap = 2 * (weight * fitted * found).sum() / max(float((weight * (fitted**2 + found**2)).sum()), 1e-6)
    return float(best[0]), float(best[1]), float(overlap)


def _sample(grid: HeadGrid, to_frame: np.ndarray, points: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Values of `source` (k, j, i), on the grid, at points (n, 3) of the current frame."""
    from_frame = np.linalg.inv(to_frame)
    index = ((points @ from_frame[:3, :3].T + from_frame[:3, 3] - grid.origin) / grid.spacing)[:, ::-1].T
    return np.asarray(ndimage.map_coordinates(source, index, order=1, mode="constant", cval=0.0))


def _vertex(height: np.ndarray, spacing: float) -> float:
    """Height in mm of the vertex, from the highest 10 ml of the cavity (n,): steadier than its single highest voxel.

    5 mm is how far the middle of that volume lies below the top of an ordinary vault.
    """
    count = max(int(10_000 / spacing**3), 1)
    return float(np.sort(height)[-count:].mean()) + 5.0


def _millilitres(grid: HeadGrid) -> float:
    return float(grid.cavity.sum()) * grid.spacing**3 / 1000


def _scanner_frame(grid: HeadGrid, confidence: float) -> Alignment:
    mask = grid.cavity if grid.cavity.any() else (grid.hu > -300) & grid.seen
    points = grid.positions(mask if mask.any() else grid.seen)
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    origin = (low + high) / 2
    origin[2] = high[2] - VERTEX_MM
    return Alignment(standard_from_ras=_moved(np.eye(3), origin), confidence=min(confidence, LOWEST_CONFIDENCE), method="scanner frame")


def _moved(rotation: np.ndarray, origin: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ origin
    return matrix
