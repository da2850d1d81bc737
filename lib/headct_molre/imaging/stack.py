"""Where DICOM slices lie: order, gaps, missing slices, contradictory tags, and the even step they are brought to.

Positions decide; SliceLocation, SliceThickness and the tilt tag are only witnesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import StudyRefused
from .limits import MAX_EXTENT_MM

SAME_POSITION_MM = 0.01


@dataclass(frozen=True)
class Stack:
    """Slices along one straight line, in the order of their positions.

    `order` (n,) indices into the given slices; `distance` (n,) mm along the line from the first slice, rising;
    `origin` (3,) and `direction` (3,) the line in the coordinates of the positions, direction of unit length.
    """

    order: np.ndarray
    distance: np.ndarray
    origin: np.ndarray
    direction: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        """Distances (n - 1,) in mm between neighbours along the line (under a tilt this is not the slice normal)."""
        return np.diff(self.distance)


def stack_slices(positions: np.ndarray, normal: np.ndarray, pixel_mm: float) -> Stack:
    """Order slices by position along their normal and check that they lie on one straight line.

    `positions` (n, 3) mm, `normal` (3,) unit normal of the slice plane, `pixel_mm` the in-plane spacing. Slices at one
    position keep the given order. Raises StudyRefused `not_a_volume` (all at one position) or `geometry_invalid`
    (positions off the line by more than half a pixel, or steps within the slice plane).
    """
    order = np.argsort(positions @ normal, kind="stable")
    points = positions[order]
    span = points[-1] - points[0]
    length = float(np.linalg.norm(span))
    if length < SAME_POSITION_MM:
        raise StudyRefused("not_a_volume", f"All {len(points)} slices lie at one position (bolus monitoring?); they make no volume.")
    if length > MAX_EXTENT_MM:
        raise StudyRefused("geometry_invalid", f"The slice positions span {length:.0f} mm.")
    direction = span / length
    if abs(direction @ normal) < 0.5:
        raise StudyRefused("geometry_invalid", "The slice positions run along the slices instead of across them.")
    distance = (points - points[0]) @ direction
    off_line = np.linalg.norm(points - points[0] - distance[:, None] * direction, axis=1).max()
    if off_line > max(0.5 * pixel_mm, 0.1):
        raise StudyRefused(
            "geometry_invalid", f"The slice positions leave a straight line by {off_line:.1f} mm; the series mixes several stacks."
        )
    return Stack(order=order, distance=distance, origin=points[0], direction=direction)


def without_repeats(stack: Stack) -> Stack:
    """The stack with one slice at each position, the first in order."""
    keep = [0]
    for index in range(1, len(stack.order)):
        if stack.distance[index] - stack.distance[keep[-1]] >= SAME_POSITION_MM:
            keep.append(index)
    return Stack(order=stack.order[keep], distance=stack.distance[keep], origin=stack.origin, direction=stack.direction)


def is_even(distance: np.ndarray) -> bool:
    """Whether no slice departs from even spacing by more than 2 % of the step or 0.05 mm (rounded tags)."""
    step = distance[-1] / (len(distance) - 1)
    return bool(np.abs(distance - step * np.arange(len(distance))).max() <= max(0.02 * step, 0.05))


def count_missing(gaps: np.ndarray) -> int:
    """How many slices are missing from an otherwise regular stack with these gaps (n - 1,) in mm.

    A gap of a whole multiple (within 10 % of a step) of the regular step counts. Three or more such gaps side by side are
    a protocol with two spacings (thin through the posterior fossa, thick above) and not a loss; neither is a
    stack in which fewer than half of the gaps are regular.
    """
    regular = float(np.median(gaps))
    multiples = gaps / regular
    if np.mean(np.abs(multiples - 1) < 0.05) < 0.5:
        return 0
    whole = np.round(multiples)
    suspect = (whole >= 2) & (np.abs(multiples - whole) < 0.1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], suspect.astype(int), [0]])))
    return int(sum((whole[start:end] - 1).sum() for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start < 3))


def even_step(gaps: np.ndarray) -> float:
    """The step in mm to which an uneven stack with these gaps (n - 1,) is resampled.

    The regular step where the stack only lacks slices. Otherwise the smallest gap that, with all smaller ones, makes up at
    least 20 % of the gaps, but at least 1 mm: fine enough for the finest real part, deaf to a single odd gap.
    """
    regular = float(np.median(gaps))
    if count_missing(gaps) and np.abs(gaps / regular - np.round(gaps / regular)).max() < 0.1:
        return regular
    return max(float(np.sort(gaps)[int(np.ceil(0.2 * len(gaps))) - 1]), 1.0)


@dataclass(frozen=True)
class Targets:
    """An even stack between given slices: each lies `share` (m,) of the way from slice `below` (m,) to the next; `step` mm apart."""

    below: np.ndarray
    share: np.ndarray
    step: float


def even_targets(stack: Stack, most: int) -> Targets:
    """Where the slices of an even stack lie among those of an uneven one; the ends stay where they are.

    The step is `even_step`, stretched to divide the length exactly, and wider where more than `most` slices would be needed:
    better than no reading of a thin stack that lacks a slice.
    """
    distance = stack.distance
    length = float(distance[-1])
    count = min(max(round(length / even_step(stack.gaps)), 1) + 1, max(most, 2))
    wanted = np.linspace(0.0, length, count)
    below = np.clip(np.searchsorted(distance, wanted, side="right") - 1, 0, len(distance) - 2)
    share = (wanted - distance[below]) / (distance[below + 1] - distance[below])
    return Targets(below=below, share=share.astype(np.float32), step=length / (count - 1))


def interpolated(slices: Iterable[np.ndarray], targets: Targets) -> Iterator[np.ndarray]:
    """The even slices (rows, columns) float32, interpolated linearly between `slices`, of which two are held at a time."""
    source = iter(slices)
    lower, upper, at = next(source), next(source), 0
    for below, share in zip(targets.below, targets.share, strict=True):
        while at < below:
            lower, upper, at = upper, next(source), at + 1
        # A slice that lies on the new grid is copied, so that rounding does not blur it with its neighbour.
        if abs(share - np.round(share)) < 1e-3:
            yield (upper if share > 0.5 else lower).astype(np.float32)
        else:
            yield (1 - share) * lower.astype(np.float32) + share * upper.astype(np.float32)
    for _ in source:  # a repeated last slice is still to be compared
        pass


def disagreeing_tags(
    stack: Stack, normal: np.ndarray, tilt: float, locations: np.ndarray | None, thickness: float | None, tilt_tag: float | None
) -> list[str]:
    """Which witnesses speak against the positions: "slice_location", "slice_thickness", "tilt_tag".

    `normal` (3,) of the slice plane; `tilt` measured degrees; `locations` (n,) SliceLocation in stack order, mm;
    `thickness` median SliceThickness, mm; `tilt_tag` GantryDetectorTilt, degrees, whose sign no two makers share.
    SliceLocation may be counted along the stack, along the normal or along the table; one of the three must fit.
    """
    gaps, across = stack.gaps, abs(float(stack.direction @ normal))
    found = []
    if locations is not None and np.ptp(locations) > 0:
        told = np.abs(np.diff(locations))
        readings = (gaps, gaps * across, gaps * abs(float(stack.direction[2])))
        if not any((np.abs(told - reading) <= 0.25 + 0.1 * reading).all() for reading in readings):
            found.append("slice_location")
    if thickness is not None and thickness > 0 and not 0.67 < float(np.median(gaps)) * across / thickness < 1.5:
        found.append("slice_thickness")
    if tilt_tag is not None and abs(abs(tilt_tag) - tilt) > 3.0:
        found.append("tilt_tag")
    return found
