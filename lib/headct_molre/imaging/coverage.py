"""Which part of the brain the scan leaves out, and how much of the body below the head it takes in.

Judged on a grid with a known upright frame: only there are vertex and skull base told apart. What counts is how much of the
cavity's largest cross-section the end of the scan cuts, which needs no knowledge of where the head lies in the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..schema import Warning_
from .cavity import HeadGrid

# Shares of the largest cross-section. Whole phantoms are cut by 0, a real scan that ends at the foramen magnum by 0.004 above and
# 0.03 below; 10 mm less of the vertex cuts 0.28 to 0.35, 10 mm less of the skull base 0.06 to 0.18, 20 mm 0.34 to 0.44.
VERTEX_SHARE = 0.05
SKULL_BASE_SHARE = 0.12
SIDE_SHARE = 0.05
# Height of the vault over its largest cross-section, taken as half an ellipsoid.
VAULT_MM = 72.0
# Missing mm for the share that is cut below; medians of eight phantoms that were cropped at the base.
BASE_SHARES, BASE_MISSING_MM = (0.0, 0.1, 0.38, 0.70, 0.92), (0.0, 10.0, 20.0, 30.0, 40.0)
# Tissue below the lowest point of the cavity: plain phantoms 44 mm at most, those with a neck 72 and more; a chin lies at some 60.
NECK_MM = 60.0
BODY_HU, BODY_CM2 = -300.0, 20.0
SHOULDERS_MM = 280.0


@dataclass(frozen=True)
class Coverage:
    """`vertex_cut`, `base_cut`, `side_cut`: share 0..1 of the cavity's largest cross-section that the scan's end cuts above, below and
    on the side that is cut most; `below_mm`: how far the body is in view below the cavity; `widest_mm`: its width there."""

    vertex_cut: float
    base_cut: float
    side_cut: float
    below_mm: float
    widest_mm: float

    @property
    def vertex_missing_mm(self) -> float:
        """About how much of the cavity lies above the scan."""
        return VAULT_MM * (1 - float(np.sqrt(1 - min(self.vertex_cut, 1.0))))

    @property
    def base_missing_mm(self) -> float:
        """About how much of the cavity lies below the scan."""
        return float(np.interp(self.base_cut, BASE_SHARES, BASE_MISSING_MM))


def measure_coverage(grid: HeadGrid, standard_from_frame: np.ndarray) -> Coverage:
    """Where the scan cuts the cavity of `grid`; `standard_from_frame` (4, 4) takes its frame to the standard frame.

    That is the alignment's matrix for the gate's grid, and the identity for a grid that is aligned already. A cut by a
    circular field of view is not seen, because what lies outside it was read as air.
    """
    turn = standard_from_frame[:3, :3]
    voxels = np.argwhere(grid.cavity)
    height = grid.positions(grid.cavity) @ turn[2] + standard_from_frame[2, 3]
    layers = np.bincount(((height - height.min()) / grid.spacing).astype(int))
    largest = float(np.sort(layers)[-3:].mean())

    def cut(direction: tuple[int, int, int]) -> float:
        beyond = np.round(voxels + (turn.T @ np.array(direction, float))[::-1]).astype(int)
        inside = ((beyond >= 0) & (beyond < grid.hu.shape)).all(axis=1)
        unseen = np.ones(len(voxels), dtype=bool)
        unseen[inside] = ~grid.seen[tuple(beyond[inside].T)]
        return float(unseen.sum()) / largest

    sides = [cut(direction) for direction in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))]
    below, widest = _body_below(grid, standard_from_frame, float(height.min()))
    return Coverage(cut((0, 0, 1)), cut((0, 0, -1)), max(sides), below, widest)


def coverage_warnings(coverage: Coverage) -> list[Warning_]:
    """The remarks: `vertex_missing`, `skull_base_missing` (mm), `brain_cut_at_side` (share), `neck_in_view` (mm)."""
    remarks = []

    def warn(code: str, message: str, value: float) -> None:
        remarks.append(Warning_(code=code, message=message, value=round(value, 2)))

    if coverage.vertex_cut > VERTEX_SHARE:
        missing = coverage.vertex_missing_mm
        warn(
            "vertex_missing", f"About {missing:.0f} mm of the brain below the vertex are not in view; nothing is known about them.", missing
        )
    if coverage.base_cut > SKULL_BASE_SHARE:
        missing = coverage.base_missing_mm
        warn(
            "skull_base_missing",
            f"About {missing:.0f} mm of the brain at the skull base are not in view, perhaps the posterior fossa; "
            "nothing is known about them.",
            missing,
        )
    if coverage.side_cut > SIDE_SHARE:
        warn("brain_cut_at_side", "The field of view cuts the brain at its side; nothing is known about the rest.", coverage.side_cut)
    if coverage.below_mm > NECK_MM:
        part = "neck and shoulders are" if coverage.widest_mm > SHOULDERS_MM else "the neck is"
        warn("neck_in_view", f"With the head, {part} in view; the model reads only the head.", coverage.below_mm)
    return remarks


def _body_below(grid: HeadGrid, standard_from_frame: np.ndarray, floor: float) -> tuple[float, float]:
    """How far (mm) below the height `floor` the scan shows a body of at least 20 cm2, and its greatest width there (mm)."""
    points = grid.positions((grid.hu > BODY_HU) & grid.seen) @ standard_from_frame[:3, :3].T + standard_from_frame[:3, 3]
    points = points[points[:, 2] < floor]
    if len(points) == 0:
        return 0.0, 0.0
    layer = ((floor - points[:, 2]) / grid.spacing).astype(int)
    area_cm2 = np.bincount(layer) * grid.spacing**2 / 100
    shown = np.flatnonzero(area_cm2 >= BODY_CM2)
    if len(shown) == 0:
        return 0.0, 0.0
    # 90 percentiles leave out the rails of a table.
    widths = [np.ptp(np.percentile(points[layer == number, 0], (5, 95))) for number in shown]
    return float((shown[-1] + 1) * grid.spacing), float(np.max(widths))
