"""Uploads on their way into the studies folder or a session: read once before they count, gone without a trace when they do not."""

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from headct_molre.errors import HeadCTError, InvalidRequest
from headct_molre.imaging.read import read_study

# A volume may take 440 MB while it is read: one at a time, however many arrive.
_READING = threading.Lock()


def check_volume(path: Path) -> None:
    """Reads an upload as a prediction would, without the gate. Raises the reader's StudyRefused."""
    with _READING:
        read_study(path)


def write_upload(source: BinaryIO, path: Path) -> None:
    """Writes an upload to disk. Raises HeadCTError `disk_full` (507)."""
    with disk_space(), path.open("wb") as target:
        shutil.copyfileobj(source, target, 1_000_000)


@contextmanager
def disk_space() -> Iterator[None]:
    """Raises HeadCTError `disk_full` (507) where the disk of the server has no space left."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full() from error


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error of the operating system says that a disk or a quota is used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full() -> HeadCTError:
    """The refusal of an upload that does not fit."""
    return HeadCTError("disk_full", "The disk of the server is full; nothing was stored. Free some space and send it again.", status=507)


def sync_file(path: Path) -> None:
    """On return the bytes of the file are on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def put_in_place(part: Path, target: Path) -> None:
    """Gives a complete file its name, on disk when it returns. Raises InvalidRequest `study_exists`: nothing is replaced."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise InvalidRequest("study_exists", "There is a file of this name already.", field="study", status=409) from None
    except OSError as error:  # a file system without hard links
        if is_disk_full(error):
            raise
        if os.path.lexists(target):
            raise InvalidRequest("study_exists", "There is a file of this name already.", field="study", status=409) from None
        os.rename(part, target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
