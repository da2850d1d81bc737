"""Whether images are still those that were hashed, seen from sizes and times instead of reading 100 MB again."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from ...imaging.files import not_readable, study_files
from .walk import TIME_RESOLUTION_S


def images_stamp(path: Path) -> str | None:
    """A short text that changes with the size or time of any file of a study; None while a change might not show in the times yet.

    Raises what `study_files` raises.
    """
    files, newest = study_files(path), 0.0
    digest = hashlib.sha256()
    try:
        for file in files:
            status = os.stat(file, follow_symlinks=False)
            name = os.path.relpath(file, path)
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
            newest = max(newest, status.st_mtime)
    except OSError as error:
        raise not_readable() from error
    return digest.hexdigest() if newest < time.time() - TIME_RESOLUTION_S else None
