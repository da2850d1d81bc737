"""What rows of a manifest may not say together, and whether their files are there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .cohort import CohortStudy
from .problems import MOST_CHARACTERS, Problems


def check_consistency(studies: Sequence[CohortStudy], rows: Sequence[int], problems: Problems, derived: frozenset[int]) -> None:
    """Note a study that is there twice, and a patient in two splits. `derived` are rows whose study was named after its path."""
    first_of_study: dict[str, int] = {}
    split_of_patient: dict[str, tuple[str, int]] = {}
    for study, row in zip(studies, rows, strict=True):
        first = first_of_study.setdefault(study.study, row)
        if first != row:
            remedy = "it is named after its path; add a column study" if row in derived else "each study has an id of its own"
            problems.add(row, "study", study.study, f"is also the study of row {first}; {remedy}")
        if study.split is not None:
            split, first = split_of_patient.setdefault(study.patient, (study.split, row))
            if split != study.split:
                problems.add(row, "split", study.split, f"is not {split} as in row {first} of the same patient; keep a patient in one")


def check_paths(studies: Sequence[CohortStudy], rows: Sequence[int], problems: Problems, files: bool) -> None:
    """Note images that two studies share, by one path or by links; with `files`, images that are not there.

    One folder may serve several studies where each names its series.
    """
    seen: dict[object, dict[str | None, int]] = {}
    for study, row in zip(studies, rows, strict=True):
        identity: object = os.path.abspath(study.path)
        if files:
            try:
                status = study.path.stat()
            except OSError as error:
                problems.add(row, "path", _end(study.path), _missing(study.path, error))
                continue
            identity = status.st_dev, status.st_ino
        others = seen.setdefault(identity, {})
        if (clash := _clash(study.series_uid, others)) is not None:
            problems.add(
                row, "path", _end(study.path), f"is also the path of row {clash}; keep one, or name each one's series in series_uid"
            )
        others.setdefault(study.series_uid, row)


def _clash(series_uid: str | None, others: dict[str | None, int]) -> int | None:
    """The row that may read the same images; a study that names no series may read any of them."""
    if series_uid is None:
        return next(iter(others.values()), None)
    return others.get(series_uid, others.get(None))


def _end(path: Path) -> str:
    """The end of a path, which tells more of it than its start."""
    text = str(path)
    return text if len(text) <= MOST_CHARACTERS else "..." + text[-(MOST_CHARACTERS - 3) :]


def _missing(path: Path, error: OSError) -> str:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"cannot be reached ({error.strerror})"
    hint = "; write / and not \\" if "\\" in str(path) else "; a relative path starts at the folder of the manifest"
    return f"does not exist{hint}"
