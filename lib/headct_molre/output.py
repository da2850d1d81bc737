"""Files that a command writes: refused before the work where they cannot be, and never there by half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InvalidRequest


def check_output(path: Path, option: str) -> None:
    """Raises InvalidRequest that names the option where `path` is a folder, or lies in one that does not exist."""
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidRequest("invalid_argument", f"--{option} {path} is not a file in an existing folder.", field=option)


def write_whole(path: Path, content: bytes) -> None:
    """A file that appears complete or not at all. Raises OSError."""
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: it takes its name at the end, and is gone where the writing fails. Raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write a long file to, which only its owner may read; at the end it is on disk under its name, or not at all.

    Raises OSError.
    """
    with replacing(path) as partial:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        yield partial
        flush(partial)
    flush(path.parent)


def flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
