"""Submissions as JSON lines: each whole, as `/headct/studies/{id}/submissions` gives it, in the order of arrival."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from ...errors import NotFound
from ...schema import Submission
from ..cohort.csv_records import UNREADABLE
from ..cohort.problems import Problems
from ..store import StudyStore, SubmissionRecord
from ..store.submissions import Shown
from .importing import ImportReport, store_all, why_no_reader

LONGEST_LINE = 1_000_000


def import_json_lines(
    store: StudyStore, path: Path, *, skip_bad: bool = False, dry_run: bool = False, done: Callable[[int], object] = lambda _: None
) -> ImportReport:
    """Store each line's submission under its own id, with what its reader saw where the line says so.

    A line is a record as `export_json_lines` writes it, or a bare Submission. When it first arrived elsewhere is not kept: this store says
    when it came here. Raises InvalidLabels with all problems, InvalidRequest `submission_conflict`, NotFound, StoreUnavailable.
    """
    report = ImportReport(dry_run)
    if not path.is_file():
        raise NotFound("labels_missing", f"There is no file {path}.", field="path")
    for _ in _read(path, report.problems):
        pass
    report.problems.raise_invalid(path.name, skip_bad)
    report.skipped += Counter(wrong=len(report.problems.rows))
    store_all(store, lambda: _read(path, Problems()), report, done)
    return report


def _read(path: Path, problems: Problems) -> Iterator[tuple[Submission, Shown]]:
    with path.open("rb") as file:
        row = 0
        while line := file.readline(LONGEST_LINE + 1):
            row += 1
            if len(line) > LONGEST_LINE:
                problems.add(row, None, None, f"is longer than {LONGEST_LINE:,} bytes, so this is no file of submissions", UNREADABLE)
                return
            if not line.strip():
                continue
            try:
                yield _arrival(line)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                where = ".".join(map(str, first["loc"])) or None
                problems.add(row, where, None, first["msg"].removeprefix("Value error, ").lower())
            except (ValueError, RecursionError) as error:
                problems.add(row, None, None, f"is no JSON object ({str(error)[:80]})")


def _arrival(line: bytes) -> tuple[Submission, Shown]:
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("another kind of value")
    if "submission" in document:
        record = SubmissionRecord.model_validate_json(line)
        submission, shown = record.submission, record.shown_probabilities
    else:
        submission, shown = Submission.model_validate_json(line), None
    if (reason := why_no_reader(submission.reader)) is not None:
        raise ValueError(f"the reader {reason}")
    return submission, shown
