"""The sagittal outline of the cranial cavity that alignment fits: measured on the mean head of our own phantom.

It is data and not computed on the fly, so that a change of the phantom's looks never moves the frame of a patient's scan.
A test holds it against the phantom it came from.
"""

import numpy as np

ANGLES_DEGREES = np.arange(0, 360, 10)
# Radii in mm within 20 mm of the midline, every 10 degrees from the front over the top, around the origin of the head frame.
OUTLINE_MM = np.array(
    [82.9, 82.6, 81.1, 79.5, 77.5, 75.4, 73.6, 72.2, 71.5, 71.0, 71.5, 72.2, 73.6, 75.4, 77.5, 79.5, 81.1, 82.6,
     82.9, 82.6, 81.1, 79.5, 77.5, 75.4, 69.9, 63.6, 46.6, 45.1, 45.1, 46.6, 45.6, 44.5, 48.5, 57.0, 71.6, 82.6]
)  # fmt: skip
