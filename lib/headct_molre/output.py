"""Files that a command writes: refused before the work where they cannot be, and never there by half."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InvalidRequest


def check_output(path: Path, option: str) -> None:
    """Raises InvalidRequest that names the option where `path` is a folder, or lies in one that does not exist."""
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidRequest("invalid_argument", f"--{option} {path} is not a file in an existing folder.", field=option)


def write_whole(path: Path, content: bytes) -> None:
    """A file that appears complete or not at all. Raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
