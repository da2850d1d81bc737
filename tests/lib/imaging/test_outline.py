"""The outline that alignment fits is frozen data; this holds it against the phantom it was measured on."""

import numpy as np

from headct_molre.data.phantom.anatomy import MEAN_HEAD, cavity_depth
from headct_molre.imaging.outline import ANGLES_DEGREES, OUTLINE_MM


def test_the_outline_is_that_of_the_phantoms_mean_head():
    radius = np.arange(0.0, 120.0, 0.5)
    for angle, expected in zip(np.radians(ANGLES_DEGREES), OUTLINE_MM, strict=True):
        reach = []
        for x in np.arange(-18.0, 19.0, 6.0):
            points = np.stack([np.full_like(radius, x), radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32)
            reach.append(radius[np.flatnonzero(cavity_depth(MEAN_HEAD, points) <= 0)[0]])
        assert abs(np.mean(reach) - expected) < 0.1
