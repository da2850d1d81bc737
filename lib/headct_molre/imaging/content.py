"""The identity of a study is the hash of its content, not its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..hashing import file_sha256
from .files import not_readable, study_files


def content_sha256(path: Path, series_uid: str | None = None) -> str:
    """SHA-256 of a file's bytes, or of a folder's sorted relative names, each with the hash of its bytes.

    With `series_uid`, the hash of that choice within the content. Raises what `study_files` raises.
    """
    path = Path(path)
    files = study_files(path)
    try:
        content = file_sha256(path) if path.is_file() else _folder_sha256(path, files)
    except OSError as error:
        raise not_readable() from error
    return content if series_uid is None else series_sha256(content, series_uid)


def series_sha256(content: str, series_uid: str) -> str:
    """The hash of a choice of series within the content that has the hash `content`."""
    return hashlib.sha256(f"{content}\0{series_uid}".encode()).hexdigest()


def _folder_sha256(folder: Path, files: list[Path]) -> str:
    named = {file.relative_to(folder).as_posix(): file for file in files}
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(file_sha256(named[name])))
    return digest.hexdigest()
