"""Where the caches lie and how large the cache of prepared volumes may grow."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ..errors import InvalidRequest

DEFAULT_CACHE_GB = 20.0


def cache_folder() -> Path:
    """Root of the command line's caches, `predictions/` and `prepared/` below: HEADCT_MOLRE_CACHE, else the user's cache folder."""
    configured = os.environ.get("HEADCT_MOLRE_CACHE")
    if configured:
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headct-molre"


def cache_limit_bytes() -> int:
    """Size limit of a cache of prepared volumes from HEADCT_MOLRE_CACHE_GB (10^9 bytes each; 0 keeps none), 20 without it.

    Raises InvalidRequest `invalid_setting` for what is not a number from 0 to 100000.
    """
    configured = os.environ.get("HEADCT_MOLRE_CACHE_GB", "").strip()
    try:
        gigabytes = float(configured) if configured else DEFAULT_CACHE_GB
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes <= 100_000:
        message = f"HEADCT_MOLRE_CACHE_GB is {configured!r}; it must be a number of gigabytes from 0 to 100000, such as 20."
        raise InvalidRequest("invalid_setting", message, field="HEADCT_MOLRE_CACHE_GB")
    return round(gigabytes * 1e9)
