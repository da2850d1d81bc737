"""From stored numbers to Hounsfield units: slope and intercept, what counts as air, and in which type the result is held."""

from __future__ import annotations

import numpy as np

from ..errors import StudyRefused

AIR_HU = -1000.0
LOWEST_HU = -1024.0
# The widest CT number scale that scanners offer ends at 30,710 HU.
HIGHEST_HU = 32_767.0
# The air around a head, padding included; a CT whose pixels hold less than this share of it is on another scale.
AIR_RANGE_HU = (-1100.0, -850.0)
AIR_SHARE = 0.02


def held_dtype(stored: np.dtype, slope: float, intercept: float) -> np.dtype:
    """int16 where whole numbers stay whole, float32 otherwise. `stored` is the type of the numbers in the file."""
    whole = stored.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer()
    return np.dtype(np.int16 if whole else np.float32)


def to_hu(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """`stored` x slope + intercept, exact for whole numbers, in a signed type wide enough for the result and for air."""
    small = stored.dtype.itemsize <= 2
    if slope == 1 and intercept == 0 and (stored.dtype.kind == "f" or (stored.dtype.kind == "i" and stored.dtype.itemsize > 1)):
        return stored
    if held_dtype(stored.dtype, slope, intercept) == np.int16 and small and abs(slope) <= 2**14 and abs(intercept) <= 2**30:
        return stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.multiply(stored, slope, dtype=np.float32 if small else np.float64) + intercept)


def is_air(hu: np.ndarray) -> np.ndarray:
    """Mask, of any shape, of the values that are air on the Hounsfield scale."""
    return np.asarray((hu >= AIR_RANGE_HU[0]) & (hu <= AIR_RANGE_HU[1]))


def put_hu(target: np.ndarray, hu: np.ndarray) -> bool:
    """Write `hu` into `target` of the same shape: below -1024 HU and not-numbers become air at -1000. True if any was finite.

    Raises StudyRefused `not_hu` for values beyond 32,767, which no CT number reaches and int16 could not hold.
    """
    if hu.dtype.kind == "f":
        finite = np.isfinite(hu)
        hu = np.where(finite & (hu >= LOWEST_HU), hu, hu.dtype.type(AIR_HU))
        known = bool(finite.any())
    else:
        known = hu.size > 0
        if hu.dtype.kind == "i" and hu.dtype.itemsize > 1 and hu.min() < LOWEST_HU:
            hu = np.where(hu < int(LOWEST_HU), hu.dtype.type(AIR_HU), hu)
    if hu.max() > HIGHEST_HU:
        raise StudyRefused(
            "not_hu", f"The values reach {float(hu.max()):.4g}; Hounsfield units end at {HIGHEST_HU:.0f}. Export the original CT."
        )
    target[...] = hu
    return known
