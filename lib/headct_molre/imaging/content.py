"""The identity of a study is the hash of its content, not its name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..errors import NotFound
from ..hashing import file_sha256


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's sorted relative names, each with the hash of its bytes.

    Raises NotFound for a missing path.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound("study_not_found", "There is no file or folder at this path.", field="path")
    if path.is_file():
        return file_sha256(path)
    files = {
        (Path(parent) / name).relative_to(path).as_posix(): Path(parent) / name
        for parent, _, names in os.walk(path)
        for name in names
        if (Path(parent) / name).is_file()
    }
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(file_sha256(files[name])))
    return digest.hexdigest()
