"""Motion between the slices of a scanned phantom: the head lies elsewhere from some slice on, or in every slice anew."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform

from ...imaging.volume import Volume


def with_jerk(volume: Volume, first_slice: int, shift_mm: tuple[float, float], turn_degrees: float = 0.0) -> Volume:
    """The head moves once, before `first_slice`: from there on it is shifted (posterior, left) and turned in the slice plane."""
    hu = volume.hu.copy()
    for number in range(first_slice, len(hu)):
        hu[number] = _moved(volume, number, shift_mm, turn_degrees)
    return Volume(hu, volume.affine, volume.facts)


def with_jitter(volume: Volume, shift_mm: float, rng: np.random.Generator) -> Volume:
    """The head lies elsewhere in every slice, by a normal deviate of `shift_mm` along rows and along columns."""
    hu = volume.hu.copy()
    for number in range(len(hu)):
        down, across = rng.normal(0.0, shift_mm, 2)
        hu[number] = _moved(volume, number, (float(down), float(across)), 0.0)
    return Volume(hu, volume.affine, volume.facts)


def _moved(volume: Volume, number: int, shift_mm: tuple[float, float], turn_degrees: float) -> np.ndarray:
    """Slice `number` with its content moved, linearly interpolated, air from outside."""
    cosine, sine = np.cos(np.radians(turn_degrees)), np.sin(np.radians(turn_degrees))
    steps = np.array(volume.spacing_mm[1:])
    matrix = np.array([[cosine, sine], [-sine, cosine]]) * steps / steps[:, None]
    middle = (np.array(volume.hu.shape[1:]) - 1) / 2
    offset = middle - matrix @ (middle + np.array(shift_mm) / steps)
    return np.asarray(affine_transform(volume.hu[number], matrix, offset, order=1, mode="constant", cval=-1000.0))
