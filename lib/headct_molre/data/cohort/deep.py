"""The deep check: every study of a cohort through the imaging gate, and the same images under two names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from ...errors import HeadCTError
from ...imaging.pipeline import PreparedStudy
from ..bulk import prepare_many
from ..prepared_cache import PreparedCache
from .cohort import Cohort
from .problems import Problems
from .table import FIRST_ROW


def check_images(cohort: Cohort, workers: int, cache: PreparedCache | None = None, done: Callable[[], object] | None = None) -> Problems:
    """Prepare every study into the cache; the refusals with code and message, and the rows that hold the same images.

    Images are compared as they are prepared, so that a copy is found under another name and in another format, too. `done` is called after
    each study. A script that calls this needs the guard `if __name__ == "__main__"` (`data.bulk.prepare_many`).
    """
    problems = Problems()
    row_of = {(study.path, study.series_uid): row for row, study in enumerate(cohort.studies, FIRST_ROW)}
    rows_of: dict[bytes, list[int]] = {}
    for source, outcome in prepare_many(list(row_of), workers, cache):
        row = row_of[source]
        if isinstance(outcome, HeadCTError):
            problems.add(row, "path", None, outcome.message, outcome.code)
        else:
            rows_of.setdefault(_voxels_sha256(outcome), []).append(row)
        if done is not None:
            done()
    for rows in rows_of.values():
        first, *others = sorted(rows)
        for row in others:
            same = cohort.studies[row - FIRST_ROW].patient == cohort.studies[first - FIRST_ROW].patient
            whose = "of the same patient" if same else "of another patient"
            problems.add(row, "path", None, f"holds the same images as row {first}, {whose}; keep one of the two", "same_images")
    problems.kept.sort(key=lambda problem: problem.row or 0)
    return problems


def _voxels_sha256(study: PreparedStudy) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(study.prepared.hu).data).digest()
