"""A prepared volume is rounded once, to HU as float16, and its cache entry loses nothing more."""

import numpy as np

from headct_molre.imaging.pipeline import prepare_volume
from headct_molre.imaging.prepare import WINDOWS_HU, windows
from headct_molre.imaging.storage import STORAGE_TYPE, as_stored


def test_a_prepared_volume_is_rounded_to_the_storage_type(head):
    hu = prepare_volume(head).prepared.hu
    assert hu.dtype == np.float32
    np.testing.assert_array_equal(hu.astype(STORAGE_TYPE).astype(np.float32), hu)


def test_no_window_sees_the_rounding():
    """Within half a grey level of 1024 in the narrowest window, and of 2048 in the others."""
    hu = np.random.default_rng(0).uniform(-1000, 2000, 100_000).astype(np.float32)
    error = np.abs(windows(hu[None, None]) - windows(as_stored(hu).astype(np.float32)[None, None]))[0, :, 0]
    assert error[0].max() <= 0.5 / 1024
    assert error[1].max() <= 0.5 / 1024
    assert error[2].max() <= 0.5 / 2048
    assert len(error) == len(WINDOWS_HU)
    brain = hu[(hu > 0) & (hu < 80)]
    assert np.abs(as_stored(brain).astype(np.float32) - brain).max() <= 1 / 32


def test_metal_stays_finite():
    stored = as_stored(np.array([3e5, -3e5], np.float32))
    assert np.isfinite(stored).all()
    np.testing.assert_array_equal(windows(stored.astype(np.float32)[:, None, None])[:, 2].ravel(), [1, 0])
