"""Where the public test scans lie: $HEADCT_SHARED/ct, by default ../shared/ct beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_ct(name: str) -> Path:
    """The path of one public scan; skips the calling test where the scans are not on this machine."""
    root = Path(os.environ.get("HEADCT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "ct"
    path = root / name
    if not path.exists():
        pytest.skip(f"public test scan {name} is not here; set HEADCT_SHARED to the folder that holds ct/")
    return path
