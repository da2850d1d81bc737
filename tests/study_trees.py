"""Small studies folders for tests: volume files that need not be readable, and DICOM slices that are."""

from __future__ import annotations

import os
import time
from pathlib import Path

from imaging_files import ct_slice


def volume(root: Path, path: str, content: bytes = b"volume", age_s: float = 60.0) -> Path:
    """A file that was written a while ago."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return aged(file, age_s)


def dicom_slices(root: Path, folder: str, study_uid: str | None, count: int = 2, age_s: float = 60.0) -> Path:
    """A folder with slices of one DICOM study."""
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        dataset = ct_slice((0, 0, 5.0 * number))
        if study_uid is not None:
            dataset.StudyInstanceUID = study_uid
        dataset.save_as(place / f"IM{len(list(place.iterdir())):04d}", enforce_file_format=True)
    return aged(place, age_s)


def aged(path: Path, age_s: float = 60.0) -> Path:
    """The path, as if it had been changed that long ago."""
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path
