"""The plane of best mirror symmetry of a head: through skull and brain, wherever the head points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .cavity import HeadGrid
from .frame import grid_index, refine, rigid, sample

# Where neither the face nor the end of the scan disturbs, below the vertex of a head that is nearly upright.
CAP_MM = 100.0
SKULL_MM = 12.0
DIRECTIONS = 160
# Two planes are one where their normals differ by less.
APART_DEGREES = 30.0
PLANES = 4


@dataclass(frozen=True)
class MirrorPlane:
    """`normal` (3,) unit vector and `offset` mm of the plane in a frame; `correlation` of both sides, at most 1."""

    normal: np.ndarray
    offset: float
    correlation: float


class MirrorCost:
    """How unlike its mirror image a head is: mean difference in HU over the skull and what it encloses.

    `to_frame` (4, 4) takes the grid's frame to the one in which planes are given; `below_vertex_mm` leaves out what lies lower there.
    """

    def __init__(self, grid: HeadGrid, to_frame: np.ndarray, below_vertex_mm: float | None, most_points: int) -> None:
        # Bone counts no more than its edges: without the upper limit, dense bone would drown the brain's own symmetry.
        self._image = ndimage.gaussian_filter(np.clip(grid.hu, -100, 400).astype(np.float32), 4.0 / grid.spacing)
        self._seen = grid.seen.astype(np.float32)
        self._grid, self._to_frame = grid, to_frame
        near = ndimage.binary_dilation(grid.cavity, iterations=max(int(SKULL_MM / grid.spacing), 1)) & grid.seen
        points = grid.positions(near) @ to_frame[:3, :3].T + to_frame[:3, 3]
        if below_vertex_mm is not None:
            cavity = grid.positions(grid.cavity) @ to_frame[:3, :3].T + to_frame[:3, 3]
            points = points[points[:, 2] > cavity[:, 2].max() - below_vertex_mm]
        self._points = points[:: max(len(points) // most_points, 1)]
        self._here = sample(self._image, grid_index(grid, to_frame, self._points))

    def _there(self, normal: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
        across = self._points - 2 * (self._points @ normal - offset)[:, None] * normal
        index = grid_index(self._grid, self._to_frame, across)
        return sample(self._image, index), sample(self._seen, index) > 0.99

    def __call__(self, normal: np.ndarray, offset: float) -> float:
        there, valid = self._there(normal, offset)
        return float(np.abs(self._here - there)[valid].mean()) if valid.sum() > 0.3 * len(valid) else 1e3

    def correlation(self, normal: np.ndarray, offset: float) -> float:
        """Correlation of the two sides; 0 where nothing varies."""
        there, valid = self._there(normal, offset)
        if not valid.any() or np.ptp(self._here[valid]) == 0 or np.ptp(there[valid]) == 0:
            return 0.0
        return float(np.corrcoef(self._here[valid], there[valid])[0, 1])

    def refined(self, normal: np.ndarray, offset: float, degrees: float, mm: float) -> MirrorPlane:
        """The best plane near a given one, by a simplex of this extent."""
        first = np.cross(normal, np.eye(3)[int(np.abs(normal).argmin())])
        first /= np.linalg.norm(first)
        second = np.cross(normal, first)

        def plane(change: np.ndarray) -> tuple[np.ndarray, float]:
            turned = normal + np.tan(change[0]) * first + np.tan(change[1]) * second
            return turned / np.linalg.norm(turned), offset + change[2]

        size = np.radians(degrees)
        best, moved = plane(refine(lambda change: self(*plane(change)), np.zeros(3), (size, size, mm)))
        return MirrorPlane(best, float(moved), self.correlation(best, moved))


def find_planes(grid: HeadGrid) -> list[MirrorPlane]:
    """Up to four distinct planes of good mirror symmetry among all directions, best first, in the grid's own frame.

    A head has a good one, a nearly round one has others: which of them parts right from left is for `orientation` to tell.
    """
    centre = grid.positions(grid.cavity).mean(axis=0)
    cost = MirrorCost(grid, rigid(np.eye(3), centre), None, 2500)
    directions = half_sphere(DIRECTIONS)
    planes: list[MirrorPlane] = []
    taken: list[np.ndarray] = []
    for index in np.argsort([cost(direction, 0.0) for direction in directions]):
        direction = directions[index]
        if any(abs(direction @ other) > np.cos(np.radians(APART_DEGREES)) for other in taken):
            continue
        taken.append(direction)
        found = cost.refined(direction, 0.0, 7.0, 5.0)
        planes.append(MirrorPlane(found.normal, found.offset + float(found.normal @ centre), found.correlation))
        if len(planes) == PLANES:
            break
    return planes


def half_sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors (count, 3), one of each opposite pair."""
    number = np.arange(count) + 0.5
    height, azimuth = number / count, np.pi * (1 + np.sqrt(5)) * number
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), height], axis=1)
