"""Which voxels show the head: outside it a heat map is 0."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging.prepare import BODY_HU


def head_mask(hu: np.ndarray) -> np.ndarray:
    """Voxels (S, H, W) bool of the head in HU of axial slices on a model's grid, air-filled sinuses included, table and rest left out."""
    # Opening cuts the thin bridges by which a head touches what it lies on.
    dense = ndimage.binary_opening(hu > BODY_HU, np.ones((1, 5, 5)))
    labels, count = ndimage.label(dense)
    if count == 0:
        return dense
    head = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return filled(head)


def filled(dense: np.ndarray) -> np.ndarray:
    """A mask (S, H, W) with what it encloses within each slice."""
    return np.stack([ndimage.binary_fill_holes(section) for section in dense])
