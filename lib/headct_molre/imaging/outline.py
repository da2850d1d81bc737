"""The sagittal outline of the cranial cavity that alignment fits: our own, computed from the phantom's mean head."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..data.phantom.anatomy import MEAN_HEAD, cavity_depth

ANGLES_DEGREES = np.arange(0, 360, 10)


@cache
def outline_mm() -> np.ndarray:
    """Radii (36,) in mm of the cavity within 20 mm of the midline, every 10 degrees from the front over the top.

    The centre is the origin of the head frame. Each radius is the mean over seven sagittal planes.
    """
    radius = np.arange(0.0, 120.0, 0.5)
    result = []
    for angle in np.radians(ANGLES_DEGREES):
        reach = []
        for x in np.arange(-18.0, 19.0, 6.0):
            points = np.stack([np.full_like(radius, x), radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32)
            outside = np.flatnonzero(cavity_depth(MEAN_HEAD, points) <= 0)
            reach.append(radius[outside[0]])
        result.append(np.mean(reach))
    return np.array(result)
