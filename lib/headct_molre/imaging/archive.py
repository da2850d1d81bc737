"""A study in a zip file: checked entry by entry, then unpacked into a folder that is always removed."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import StudyRefused
from .bounded import BoundedFile
from .limits import MAX_ARCHIVE_DIRECTORY_BYTES, MAX_FILES, MAX_FOLDER_DEPTH, MAX_STUDY_BYTES
from .voxels import check_ratio

PIECE_BYTES = 1_000_000


@contextmanager
def unpacked_archive(path: Path) -> Iterator[Path]:
    """A temporary folder with the files of a zip; it is removed at the end of `with`, however that comes.

    Raises StudyRefused `damaged_archive`, `unsafe_archive` (names or links that lead out, one name twice), `too_many_files`,
    `decompression_bomb`, `too_large`, `nested_archive` or `unsupported_archive` (encrypted, or another method than deflate).
    """
    with tempfile.TemporaryDirectory(prefix="headct-") as name:
        folder = Path(name)
        try:
            with _opened(path) as archive:
                _unpack(archive, path.stat().st_size, folder)
        except StudyRefused:
            raise
        except Exception as error:  # zipfile raises many types on damaged lists of contents
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StudyRefused("no_disk_space", "The archive does not fit into the temporary folder. Send one series.") from error
            raise _damaged() from error
        yield folder


def _opened(path: Path) -> zipfile.ZipFile:
    # Python reads the whole list of contents before it can be asked how long it is.
    with BoundedFile(path, MAX_ARCHIVE_DIRECTORY_BYTES, max_reads=10_000, ask_for_rest=True) as probe:
        try:
            zipfile.ZipFile(cast(BinaryIO, probe))
        except StudyRefused:
            raise StudyRefused("too_many_files", f"The archive lists far more than {MAX_FILES} files. Send one study.") from None
    return zipfile.ZipFile(path)


def _unpack(archive: zipfile.ZipFile, archive_bytes: int, folder: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_left_out(entry.filename)]
    if len(archive.infolist()) > MAX_FILES:
        raise StudyRefused("too_many_files", f"The archive holds more than {MAX_FILES} files. Send one study, or one series of it.")
    for entry in entries:
        _check(entry)
    if len({entry.filename.casefold() for entry in entries}) < len(entries):
        raise _unsafe("holds the same file name twice")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_STUDY_BYTES:
        raise StudyRefused("too_large", f"The archive unpacks to more than {MAX_STUDY_BYTES / 1e9:.0f} GB. Send one series of the head.")
    check_ratio(total, archive_bytes)
    for entry in entries:
        target = folder / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("xb") as file:
            # zipfile ends at the size that was declared and summed up above.
            while piece := source.read(PIECE_BYTES):
                file.write(piece)


def _check(entry: zipfile.ZipInfo) -> None:
    name, parts = entry.filename, entry.filename.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(mark in name for mark in "\\:\0") or not name.isprintable():
        raise _unsafe("holds a file name that leads out of it")
    if len(parts) > MAX_FOLDER_DEPTH or any(len(os.fsencode(part)) > 255 for part in parts):
        raise _unsafe("holds a file name that is too long or too deep")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _unsafe("holds a link or a device")
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise StudyRefused("unsupported_archive", "The archive is encrypted or packed by a rare method. Make a plain zip.")
    if name.lower().endswith(".zip"):
        raise StudyRefused("nested_archive", "The archive holds another archive. Unpack the inner one and send that.")


def _is_left_out(name: str) -> bool:
    """What a Mac adds to an archive: no part of the study, but with the names of its files."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db")


def _unsafe(reason: str) -> StudyRefused:
    return StudyRefused("unsafe_archive", f"The archive {reason}. Make a new zip of the study's folder.")


def _damaged() -> StudyRefused:
    return StudyRefused("damaged_archive", "The zip file is damaged or none at all. Make a new one of the study's folder.")
