"""Volumes on their way in and out: uploads are read once before they count, and gone without a trace when they do not."""

import errno
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

from headct_molre.errors import InvalidRequest
from headct_molre.explain import HeatMap
from headct_molre.explain.nifti_map import heat_map_file as nifti_file
from headct_molre.explain.space import on_scan
from headct_molre.imaging.nrrd_output import nrrd_bytes
from headct_molre.imaging.read import read_study

# A volume may take 440 MB while it is read: one at a time, however many arrive.
_READING = threading.Lock()


def check_volume(path: Path) -> None:
    """Reads an upload as a prediction would, without the gate. Raises the reader's StudyRefused."""
    with _READING:
        read_study(path)


def volume_file(path: Path, series_uid: str | None = None) -> bytes:
    """A study of any format as one NRRD file. Raises what `read_study` raises."""
    with _READING:
        volume = read_study(path, series_uid)
    return nrrd_bytes(volume)


def heat_map_file(heat_map: HeatMap, path: Path, series_uid: str | None, form: Literal["nifti", "nrrd"]) -> bytes:
    """A heat map of the study at `path` on the study's own grid, as .nii.gz or as `volume_file` gives the study itself.

    Raises what `read_study` raises.
    """
    with _READING:
        if form == "nifti":
            return nifti_file(heat_map, path, series_uid, Path("map.nii.gz"))
        volume = read_study(path, series_uid)
        values = on_scan(heat_map.values, heat_map.prepared, volume)
    return nrrd_bytes(replace(volume, hu=values), heat_map.lines)


def write_upload(source: BinaryIO, path: Path) -> None:
    """Writes an upload to disk."""
    with path.open("wb") as target:
        shutil.copyfileobj(source, target, 1_000_000)


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
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
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
