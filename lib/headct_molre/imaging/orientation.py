"""Which way a head points, out of all directions: where its midline runs, where the vertex and where the face is.

The headers say how the patient lay, and are nearly always right; a scan tagged feet first that was not, or a file whose axes were
mixed up, is found by its looks. Mirror planes give the midline, our own mean head up and front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .cavity import HeadGrid
from .frame import about_x, degrees_between, grid_index, rigid
from .reference import BLUR_MM, BODY_HU, BONE_HU, reference_head
from .sagittal import fit_outline
from .symmetry import MirrorPlane, find_planes

TURN_DEGREES = 15.0
# Where the middle of the mean head's cavity lies in its own frame.
CAVITY_CENTRE_MM = np.array([0.0, -3.0, 10.0])
# Two poses nearer to each other than this are refined as one.
APART_DEGREES = 60.0
# So near to the scanner's own directions, a head lies as its headers say.
AS_TAGGED_DEGREES = 60.0
CANDIDATES = 4
# With fewer points of the reference in view nothing is compared.
FEWEST_POINTS = 1500
# How much better a head must fit turned than as its headers say, in the units of `Pose.score`. A whole head that does lie otherwise still
# leads by 0.14 and more (a real scan, phantoms); cut above the skull base, where it looks alike from front and back, by 0.02 where wrong.
PRIOR = 0.05


@dataclass(frozen=True)
class Pose:
    """`to_head` (4, 4) takes the grid's frame to the head frame (RAS mm, origin that of the outline) of a head as large as the mean one.

    Poses are ranked by `score`: correlation with the reference's body, twice, and with its bone, overlap with its outline, symmetry across
    the midline, less the prior where `turned`, which is True where the head does not lie as the headers say.
    """

    to_head: np.ndarray
    score: float
    turned: bool


def find_pose(grid: HeadGrid) -> tuple[Pose, float]:
    """The best pose of the head on a coarse grid, and by how much its score leads the best one that points elsewhere.

    `grid` in scanner RAS directions, with a cavity. The lead counts the prior for the headers, and is 1 where there is no other
    pose to compare.
    """
    body, bone, seen = _blurred(grid, BODY_HU), _blurred(grid, BONE_HU), grid.seen.astype(np.float32)
    centre = grid.positions(grid.cavity).mean(axis=0)
    rough = []
    for plane in find_planes(grid):
        for to_head in _turns(plane, centre):
            rough.append((_correlation(grid, to_head, body, seen, reference_head().body, every=2), to_head, plane.correlation))
    rough.sort(key=lambda entry: -entry[0])
    distinct: list[tuple[float, np.ndarray, float]] = []
    for entry in rough:
        if all(degrees_between(entry[1], other[1]) > APART_DEGREES for other in distinct):
            distinct.append(entry)
    refined = (_refined(grid, to_head, symmetry, body, bone, seen) for _, to_head, symmetry in distinct[:CANDIDATES])
    poses = sorted(refined, key=lambda pose: -pose.score)
    best = poses[0]
    others = [pose.score for pose in poses[1:] if degrees_between(pose.to_head, best.to_head) > APART_DEGREES]
    return best, best.score - max(others) if others else 1.0


def _turns(plane: MirrorPlane, centre: np.ndarray) -> list[np.ndarray]:
    """All poses (4, 4) whose midline is `plane`: both sides as the right one, turned in steps about the plane's normal."""
    poses = []
    for side in (1.0, -1.0):
        right = side * plane.normal
        up = np.cross(right, np.eye(3)[int(np.abs(right).argmin())])
        up /= np.linalg.norm(up)
        start = np.stack([right, np.cross(up, right), up])
        for angle in np.radians(np.arange(0.0, 360.0, TURN_DEGREES)):
            to_head = rigid(about_x(angle) @ start, centre)
            to_head[:3, 3] += CAVITY_CENTRE_MM
            to_head[0, 3] = -side * plane.offset
            poses.append(to_head)
    return poses


def _refined(grid: HeadGrid, to_head: np.ndarray, symmetry: float, body: np.ndarray, bone: np.ndarray, seen: np.ndarray) -> Pose:
    fit = fit_outline(grid, to_head, (-15.0, 0.0, 15.0))
    to_head = fit.placed(to_head)
    like_body = _correlation(grid, to_head, body, seen, reference_head().body, every=1, scale=fit.scale)
    like_bone = _correlation(grid, to_head, bone, seen, reference_head().bone, every=1, scale=fit.scale)
    turned = degrees_between(to_head, np.eye(4)) > AS_TAGGED_DEGREES
    score = 2 * like_body + like_bone + fit.overlap + symmetry - (PRIOR if turned else 0.0)
    return Pose(to_head, score, turned)


def _blurred(grid: HeadGrid, window: tuple[float, float]) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(np.clip(grid.hu, *window).astype(np.float32), BLUR_MM / grid.spacing))


def _correlation(
    grid: HeadGrid, to_head: np.ndarray, image: np.ndarray, seen: np.ndarray, reference: np.ndarray, every: int, scale: float = 0.0
) -> float:
    """Correlation of an image on the grid with the reference where the scan reaches; -1 where too little of it does."""
    index = grid_index(grid, to_head, reference_head().points[::every] * np.exp(scale))
    reached = ndimage.map_coordinates(seen, index, order=0, mode="constant", cval=0.0) > 0.5
    if reached.sum() < FEWEST_POINTS / every:
        return -1.0
    here = ndimage.map_coordinates(image, index[:, reached], order=1, mode="nearest")
    there = reference[::every][reached]
    if np.ptp(here) == 0 or np.ptp(there) == 0:
        return -1.0
    return float(np.corrcoef(here, there)[0, 1])
