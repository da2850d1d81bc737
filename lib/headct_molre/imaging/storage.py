"""The number type of a prepared volume: HU as float16, chosen by the figures of `benchmarks/storage.py` (docs/imaging.md).

A prepared volume is rounded to it once, where it is made, so that one from the cache is the same to the bit.
"""

from __future__ import annotations

import numpy as np

STORAGE_TYPE = np.dtype("<f2")
_LIMIT_HU = float(np.finfo(STORAGE_TYPE).max)


def as_stored(hu: np.ndarray) -> np.ndarray:
    """HU rounded to the storage type, any shape; off by at most 0.03 HU in 0..80 and 0.5 HU below 2048. Metal stays finite."""
    return np.clip(hu, -_LIMIT_HU, _LIMIT_HU).astype(STORAGE_TYPE)
