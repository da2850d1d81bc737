"""How entries of the caches come to lie on disk: complete or not at all, whoever writes beside."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

PARTIAL = ".partial"
# A write takes milliseconds; a partial file this old was left by a process that died.
LEFTOVER_SECONDS = 900.0


def write_entry(path: Path, data: bytes) -> None:
    """An entry for its owner's eyes only; threads and processes may write the same one at once. Raises OSError, then there is none.

    A prepared volume shows a face, hence the modes of folder and file.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, partial = tempfile.mkstemp(PARTIAL, dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def is_leftover(name: str, modified: float) -> bool:
    """Whether a file of this name and time stamp is what a dead writer left."""
    return name.endswith(PARTIAL) and modified < time.time() - LEFTOVER_SECONDS
