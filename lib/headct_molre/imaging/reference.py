"""The mean head of our own phantom on a coarse grid: what tells up from down and front from back.

It is a frozen file, like the outline, so that a change of the phantom's looks never moves the frame of a patient's scan;
`render` is how it was made, and a test holds the file against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

FILE = Path(__file__).with_name("reference_head.npz")
STEP_MM = 8.0
FIRST_MM = (-104.0, -120.0, -112.0)
SHAPE = (27, 31, 27)
BLUR_MM = 5.0
# The outline of the whole head against air, and its bone: a window for each.
BODY_HU, BONE_HU = (-1000.0, 300.0), (-100.0, 800.0)


@dataclass(frozen=True)
class ReferenceHead:
    """`points` (n, 3) RAS mm of the phantom's head frame; `body` and `bone` (n,) HU in their windows, blurred by 5 mm."""

    points: np.ndarray
    body: np.ndarray
    bone: np.ndarray


@lru_cache(maxsize=1)
def reference_head() -> ReferenceHead:
    """The frozen reference head."""
    with np.load(FILE, allow_pickle=False) as stored:
        body, bone = stored["body"].astype(np.float32), stored["bone"].astype(np.float32)
    axes = [first + STEP_MM * np.arange(size) for first, size in zip(FIRST_MM, SHAPE, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return ReferenceHead(points, body.ravel(), bone.ravel())


def render() -> dict[str, np.ndarray]:
    """`body` and `bone` (27, 31, 27) int16 HU of the phantom's mean head, right to left, posterior to anterior, inferior to superior."""
    from ..data.phantom.anatomy import MEAN_HEAD, paint_head

    fine, margin = STEP_MM / 4, 2
    counts = [4 * (size - 1) + 1 + 2 * margin for size in SHAPE]
    axes = [first + fine * (np.arange(count) - margin) for first, count in zip(FIRST_MM, counts, strict=True)]
    canvas = paint_head(MEAN_HEAD, np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).astype(np.float32))
    hu = np.where(canvas.depth > 0, 32.0, canvas.hu).reshape(counts)
    coarse = tuple(slice(margin, -margin, 4) for _ in SHAPE)
    stored = {}
    for name, window in (("body", BODY_HU), ("bone", BONE_HU)):
        blurred = ndimage.gaussian_filter(np.clip(hu, *window), BLUR_MM / fine)
        stored[name] = np.round(blurred[coarse]).astype(np.int16)
    return stored
