"""What all imports of labels share: the id that makes a repeated import harmless, the report, and the way into the store."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import select

from ...errors import InvalidRequest
from ...readers import MAX_NAME
from ...schema import State, Submission
from ..cohort.csv_records import UNREADABLE
from ..cohort.problems import InvalidManifest, Problems, count
from ..store import StudyStore
from ..store.submissions import Shown
from ..store.tables import STUDIES, SUBMISSIONS

# The name space of imported submissions: the same content has the same id wherever and whenever it is imported.
_IMPORTED = uuid.UUID("6f4c63d3-1f0b-5b0a-9a35-0b6b7a0d7d51")
LOOKED_UP = 500

# Gives the submissions of a source, with what their readers saw where the source says so; each call begins anew.
Arrivals = Callable[[], Iterable[tuple[Submission, Shown]]]


@dataclass
class RowProblems(Problems):
    """The problems of a file with the rows that have any."""

    rows: set[int | None] = field(default_factory=set)

    def add(self, row: int | None, column: str | None, value: str | None, message: str, code: str | None = None) -> None:
        """Note a problem."""
        super().add(row, column, value, message, code)
        self.rows.add(row)

    def raise_invalid(self, name: str, skip_bad: bool) -> None:
        """Raises InvalidLabels about the file `name`, unless only single rows are wrong and those may be left out."""
        whole = {None, 1} & self.rows or any(problem.code == UNREADABLE for problem in self.kept)
        if self.total and (whole or not skip_bad):
            remedy = "Correct it." if whole else "Correct it, or import the rest with --skip-bad."
            message = f"{name} has {count(self.total, 'problem')}, and nothing was imported. {remedy}"
            raise InvalidLabels("invalid_labels", message, problems=self.kept, total=self.total)


class InvalidLabels(InvalidManifest):
    """A file of labels that cannot be imported: `problems` holds up to 1000 of its `total` problems."""


@dataclass
class ImportReport:
    """What an import did, or would do in a dry run.

    `stored` and `already` (there from an earlier import) add up to the submissions of the source; `skipped` counts by reason what says
    nothing of the 75 findings or cannot be used; `images` counts what was registered, copied or already there; `problems` are those of
    rows that were left out.
    """

    dry_run: bool = False
    stored: int = 0
    already: int = 0
    studies_without_images: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    problems: RowProblems = field(default_factory=RowProblems)

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "dry_run": self.dry_run,
            "stored": self.stored,
            "already": self.already,
            "studies_without_images": self.studies_without_images,
            "skipped": dict(self.skipped),
            "images": dict(self.images),
            "notes": self.notes,
            "problem_count": self.problems.total,
            "problems": [problem.to_json() for problem in self.problems.kept],
        }


def imported_submission(study: str, reader: str, findings: dict[str, State], client: str, comment: str = "") -> Submission:
    """A submission whose id follows from its content, on a study that nothing was shown for. Raises ValueError."""
    document = {"study": study, "reader": reader, "model": None, "findings": findings, "comment": comment, "client": client}
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return Submission.model_validate({"submission_id": uuid.uuid5(_IMPORTED, content), **document})


def why_no_reader(name: str) -> str | None:
    """Why this is no reader's name, None where it is one."""
    if not name.strip():
        return "is empty; name the reader here or with --reader"
    if len(name) > MAX_NAME or not name.isprintable():
        return f"is no reader's name; use 1 to {MAX_NAME} printable characters"
    return None


def checked_reader(name: str | None) -> str | None:
    """The operator's --reader. Raises InvalidRequest `invalid_reader`."""
    if name is not None and (reason := why_no_reader(name)) is not None:
        raise InvalidRequest("invalid_reader", f"--reader {reason}.", field="reader")
    return name


def store_all(store: StudyStore, arrivals: Arrivals, report: ImportReport, done: Callable[[int], object]) -> None:
    """Stores what is not there yet; in a dry run, counts it.

    Everything is looked up before anything is stored. `done` is told how many were stored. Raises InvalidRequest `submission_conflict`,
    StoreUnavailable.
    """
    new = _look_up(store, arrivals(), report)
    report.stored = new if report.dry_run else store.submissions.add_many(_told(arrivals(), done))


def _look_up(store: StudyStore, arrivals: Iterable[tuple[Submission, Shown]], report: ImportReport) -> int:
    seen: dict[uuid.UUID, int] = {}  # the hash of the content
    absent: set[str] = set()
    new = 0
    iterator = iter(arrivals)
    while part := [submission for submission, _ in islice(iterator, LOOKED_UP)]:
        first: dict[uuid.UUID, Submission] = {}
        for submission in part:
            content = hash(submission.model_dump_json())
            if submission.submission_id not in seen:
                first[submission.submission_id] = submission
            elif seen[submission.submission_id] != content:
                raise _conflict(submission.submission_id, "twice in the file")
            seen[submission.submission_id] = content
        names = {submission.study for submission in part}
        with store.database.reading() as connection:
            query = select(SUBMISSIONS.c.submission_id, SUBMISSIONS.c.document).where(SUBMISSIONS.c.submission_id.in_(map(str, first)))
            for submission_id, document in connection.execute(query).all():
                if Submission.model_validate_json(document) != first.pop(uuid.UUID(submission_id)):
                    raise _conflict(submission_id, "in the store")
            absent |= names - set(
                connection.execute(select(STUDIES.c.study).where(STUDIES.c.study.in_(names), STUDIES.c.present)).scalars()
            )
        new += len(first)
        report.already += len(part) - len(first)
    report.studies_without_images = len(absent)
    return new


def _conflict(submission_id: object, where: str) -> InvalidRequest:
    message = f"Submission {submission_id} is {where} with other content. Nothing was imported."
    return InvalidRequest("submission_conflict", message, field="submission_id", status=409)


def _told(arrivals: Iterable[tuple[Submission, Shown]], done: Callable[[int], object]) -> Iterator[tuple[Submission, Shown]]:
    for arrival in arrivals:
        yield arrival
        done(1)
