"""The reference head is a frozen file; this holds it against the phantom it was made of."""

import numpy as np
import pytest

from headct_molre.imaging.reference import SHAPE, reference_head, render


def test_the_reference_is_the_phantoms_mean_head():
    reference = reference_head()
    for name, rendered in render().items():
        assert rendered.shape == SHAPE
        # Another processor may round the last bit otherwise; half a HU of the file's own rounding comes on top.
        assert np.abs(getattr(reference, name) - rendered.ravel()).max() <= 1


@pytest.mark.parametrize(("point", "low", "high"), [((0, -8, 0), 20, 45), ((0, -8, 96), -1000, -900), ((0, 112, 40), -1000, -900)])
def test_its_points_lie_where_the_head_frame_says(point, low, high):
    reference = reference_head()
    nearest = np.linalg.norm(reference.points - point, axis=1).argmin()
    assert low <= reference.body[nearest] <= high
