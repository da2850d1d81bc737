"""Metal in a scanned phantom: clip, coil, shunt valve, plate or dental filling, with the streaks that it throws in its slices."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ...imaging.volume import Volume
from .scanner import Phantom
from .shapes import coverage, ellipsoid

Kind = Literal["clip", "coil", "shunt_valve", "plate", "dental"]
# Centre and radii (mm, head frame). A clip and a coil lie at the circle of Willis, a valve under the scalp, a plate on the bone.
PLACES: dict[Kind, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "clip": ((12.0, 10.0, -22.0), (1.0, 4.0, 1.0)),
    "coil": ((3.0, 22.0, -20.0), (4.0, 4.0, 4.0)),
    "shunt_valve": ((68.0, -40.0, 20.0), (4.0, 8.0, 4.0)),
    "plate": ((60.0, 35.0, 30.0), (1.5, 6.0, 6.0)),
    "dental": ((30.0, 55.0, -93.0), (4.0, 4.0, 4.0)),
}
# Titanium, platinum and amalgam attenuate far beyond what 12 bits hold; the scanner clips what is left after the partial volume.
METAL_HU = 12_000.0
HIGHEST_HU = 3071.0


def with_metal(phantom: Phantom, kind: Kind, rng: np.random.Generator, scale: float = 1.0, streak_hu: float = 400.0) -> Phantom:
    """The phantom with a piece of metal, its size `scale` times the usual; `streak_hu` is the streaks' height 20 mm from it.

    Streaks are rays of alternating brightness in the slices that hold the metal, falling off with the distance; they only imitate
    what beam hardening and photon starvation do.
    """
    centre, radii = PLACES[kind]
    volume = phantom.volume
    index_from_head = np.linalg.inv(volume.affine) @ phantom.pose
    middle = index_from_head[:3, :3] @ np.array(centre) + index_from_head[:3, 3]
    reach = np.abs(np.linalg.inv(volume.affine)[:3, :3]) @ np.full(3, scale * max(radii) + 6)
    low = np.clip(np.floor(middle - reach).astype(int), 0, None)
    high = np.minimum(np.ceil(middle + reach).astype(int) + 1, volume.hu.shape)
    if (low >= high).any():
        return phantom
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    share = _share(np.linalg.inv(index_from_head), box, centre, tuple(scale * radius for radius in radii))
    hu = volume.hu.astype(np.float32)
    slices = np.flatnonzero(share.max(axis=(1, 2)) > 0.05)
    for number in slices:
        hu[low[0] + number] += _streaks(volume, low[0] + number, middle, rng) * streak_hu * min(float(share[number].max()), 1.0)
    hu[box] += share * (METAL_HU - hu[box])
    return replace(phantom, volume=Volume(np.clip(hu, -1024, HIGHEST_HU), volume.affine, volume.facts))


def _share(
    head_from_index: np.ndarray,
    box: tuple[slice, ...],
    centre: tuple[float, float, float],
    radii: tuple[float, ...],
) -> np.ndarray:
    """Share of each voxel of the box that is metal, from 5 x 3 x 3 points in it."""
    total = np.zeros([s.stop - s.start for s in box], np.float32)
    offsets = [np.array([a / 5, b / 3, c / 3]) for a in range(-2, 3) for b in (-1, 0, 1) for c in (-1, 0, 1)]
    grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop, dtype=np.float64) for s in box), indexing="ij")).reshape(3, -1)
    for offset in offsets:
        points = head_from_index[:3, :3] @ (grid + offset[:, None]) + head_from_index[:3, 3:4]
        total += coverage(ellipsoid(points, centre, (radii[0], radii[1], radii[2])), 0.3).reshape(total.shape)
    return total / len(offsets)


def _streaks(volume: Volume, number: int, middle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rays of one slice (rows, columns) with a height of about 1 at 20 mm from the metal."""
    rows, columns = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in volume.hu.shape[1:]), indexing="ij")
    down, across = (rows - middle[1]) * volume.spacing_mm[1], (columns - middle[2]) * volume.spacing_mm[2]
    angle, distance = np.arctan2(down, across), np.hypot(down, across)
    rays = sum(np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (6, 10, 14, 22)) / 2
    return np.asarray(np.sign(rays) * rays**2 * 20 / np.maximum(distance, 6) * (volume.hu[number] > -700), np.float32)
