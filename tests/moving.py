"""Heads moved by known rigid motions: exact, because only the affine moves and no voxel is interpolated."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from headct_molre.imaging.volume import Volume

# How a head may lie in a file: degrees about the axes to the right, to anterior and to superior.
LYING = {
    "upright": (0, 0, 0),
    "prone": (0, 0, 180),
    "feet first": (0, 180, 0),
    "upside down": (180, 0, 0),
    "on its side": (0, 90, 0),
    "turned to the side": (0, 0, 90),
    "looking up": (90, 0, 0),
    "looking down": (-90, 0, 0),
}


def moved(volume: Volume, seed: int, degrees: float, mm: float = 30.0, lying: str = "upright") -> tuple[Volume, np.ndarray]:
    """The volume after a random motion of up to `degrees` about each axis and `mm` along it, and the motion (4, 4)."""
    generator = np.random.default_rng(seed)
    motion = np.eye(4)
    turn = Rotation.from_euler("xyz", generator.uniform(-degrees, degrees, 3), degrees=True)
    motion[:3, :3] = (turn * Rotation.from_euler("xyz", LYING[lying], degrees=True)).as_matrix()
    motion[:3, 3] = generator.uniform(-mm, mm, 3)
    return Volume(volume.hu, motion @ volume.affine, volume.facts), motion


def cropped(volume: Volume, first: int, last: int | None = None) -> Volume:
    """The volume without its lowest `first` slices, and up to slice `last`."""
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * first
    return Volume(volume.hu[first:last], affine, volume.facts)


def difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Degrees, and mm at the standard frame's origin, between two rigid matrices (4, 4) to that frame."""
    change = first @ np.linalg.inv(second)
    angle = np.degrees(np.arccos(np.clip((np.trace(change[:3, :3]) - 1) / 2, -1, 1)))
    return float(angle), float(np.linalg.norm(change[:3, 3]))
