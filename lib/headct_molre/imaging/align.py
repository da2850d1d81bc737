"""Rigid alignment of a head to the standard frame, however it lay and wherever it was cropped.

Standard frame: RAS directions in mm. x = 0 is the midsagittal plane. The pitch is the one in which the cavity's outline near the
midline fits that of the phantom's mean head best (`outline`). y = 0 is the middle of that outline's length. The vertex of the inner
table lies at z = +70, wherever the scan stops below; where the vertex itself was not scanned, the outline's stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cavity import HeadGrid, head_grid
from .frame import rigid
from .orientation import PRIOR, find_pose
from .sagittal import OutlineFit, fit_outline
from .symmetry import CAP_MM, MirrorCost
from .volume import Volume

VERTEX_MM = 70.0
SMALLEST_CAVITY_ML = 250.0
FINE_GRID_MM = 3.0
FINE_HALF_MM = 120.0
LOWEST_CONFIDENCE = 0.3
# The uppermost layer of the cavity whose end decides whether the vertex is in the scan.
TOP_LAYER_MM = 9.0
MOST_CUT = 0.15
# The lead of a pose over all others that counts as certain, and the certainty where only the headers tell front from back (a scan cut
# above the skull base).
CERTAIN_LEAD, HEADERS_ALONE = 0.1, 0.6


@dataclass(frozen=True)
class Alignment:
    """`standard_from_ras` (4, 4) rigid, scanner RAS mm to standard-frame mm; `confidence` 0..1; `method` "symmetry" or "scanner frame"."""

    standard_from_ras: np.ndarray
    confidence: float
    method: str


def align(volume: Volume, grid: HeadGrid | None = None) -> Alignment:
    """The rigid matrix that takes a head in any orientation to the standard frame.

    The orientation is searched on a coarse grid, then refined twice on grids already aligned, so that the sampling does not depend on how
    the head lay. Where no cavity is found or the confidence is below 0.3, the scanner's directions are kept and only the origin is moved.
    Deterministic. `grid` is `head_grid(volume)` where the caller has it already.
    """
    grid = head_grid(volume) if grid is None else grid
    if grid.millilitres(grid.cavity) < SMALLEST_CAVITY_ML:
        return _scanner_frame(grid, 0.0)
    pose, lead = find_pose(grid)
    certainty = _certainty(lead, pose.turned)
    to_frame = pose.to_head
    for _ in range(2):
        fine = head_grid(volume, FINE_GRID_MM, to_frame, FINE_HALF_MM)
        if fine.millilitres(fine.cavity) < SMALLEST_CAVITY_ML:
            return _scanner_frame(grid, 0.0)
        correction, confidence = _step(fine)
        to_frame = correction @ to_frame
    confidence *= certainty
    if confidence < LOWEST_CONFIDENCE:
        return _scanner_frame(grid, confidence)
    return Alignment(to_frame, confidence, "symmetry")


def _certainty(lead: float, turned: bool) -> float:
    """How sure it is which way the head points, 0..1: against the headers the looks must prove it, else they only support them."""
    if turned:
        return float(np.clip(lead / CERTAIN_LEAD, 0, 1))
    return float(HEADERS_ALONE + (1 - HEADERS_ALONE) * np.clip((lead - PRIOR) / CERTAIN_LEAD, 0, 1))


def _step(grid: HeadGrid) -> tuple[np.ndarray, float]:
    """One refinement: the rigid correction (4, 4) to be applied after the matrix that made `grid`, and its confidence."""
    plane = MirrorCost(grid, np.eye(4), CAP_MM, 6000).refined(np.array([1.0, 0.0, 0.0]), 0.0, 2.0, 2.0)
    forward = np.array([0.0, 1.0, 0.0]) - plane.normal[1] * plane.normal
    forward /= np.linalg.norm(forward)
    upright = np.eye(4)
    upright[:3, :3] = np.stack([plane.normal, forward, np.cross(plane.normal, forward)])
    upright[0, 3] = -plane.offset
    fit = fit_outline(grid, upright, (0.0,))
    correction = fit.placed(upright)
    correction[2, 3] += VERTEX_MM - _vertex(grid, correction, fit)
    symmetry = np.clip((plane.correlation - 0.5) / 0.4, 0, 1)
    likeness = np.clip((fit.overlap - 0.85) / 0.1, 0, 1)
    return correction, float(symmetry * likeness * np.clip(grid.millilitres(grid.cavity) / 600, 0, 1))


def _vertex(grid: HeadGrid, to_outline: np.ndarray, fit: OutlineFit) -> float:
    """Height in mm of the vertex, from the highest 10 ml of the cavity: steadier than its single highest voxel.

    5 mm is how far the middle of that volume lies below the top of an ordinary vault. Where the scan cuts the vault open, the cavity
    ends too low, and the fitted outline tells.
    """
    height = grid.positions(grid.cavity) @ to_outline[2, :3] + to_outline[2, 3]
    above_voxel = grid.positions(grid.cavity) + to_outline[2, :3] * 1.8 * grid.spacing
    index = np.round((above_voxel - grid.origin) / grid.spacing).astype(int)[:, ::-1]
    within = ((index >= 0) & (index < np.array(grid.seen.shape))).all(axis=1)
    open_above = ~within
    open_above[within] = ~grid.seen[tuple(index[within].T)]
    if np.mean(open_above[height > height.max() - TOP_LAYER_MM]) > MOST_CUT:
        return fit.vertex
    count = max(int(10_000 / grid.spacing**3), 1)
    return float(np.sort(height)[-count:].mean()) + 5.0


def _scanner_frame(grid: HeadGrid, confidence: float) -> Alignment:
    mask = grid.cavity if grid.cavity.any() else (grid.hu > -300) & grid.seen
    points = grid.positions(mask if mask.any() else grid.seen)
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    origin = (low + high) / 2
    origin[2] = high[2] - VERTEX_MM
    return Alignment(standard_from_ras=rigid(np.eye(3), origin), confidence=min(confidence, LOWEST_CONFIDENCE), method="scanner frame")
