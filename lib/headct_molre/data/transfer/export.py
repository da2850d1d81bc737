"""Export of labels: a CSV that is the manifest of a cohort, and every submission whole as JSON lines; both from one moment of the store."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, Select, Text, cast, func, select

from ...findings import finding_keys
from ...output import check_output, written_whole
from ...schema import Submission
from ..cohort.manifest import path_cell
from ..store.clock import with_zone
from ..store.database import Database
from ..store.labels import DEFAULT_RULE, checked_rule, derive_label
from ..store.tables import STUDIES, SUBMISSIONS
from .snapshot import snapshot

FETCHED = 500
COLUMNS = ("study", "path", "patient", "readers")
PATIENT_LETTERS = 16  # of a key: enough to tell patients apart


@dataclass(frozen=True)
class Exported:
    """How many rows or lines were written; `without_images` are studies left out of a CSV, since a manifest needs their path."""

    written: int
    without_images: int = 0


def export_csv(
    database: Database,
    path: Path,
    studies: Path,
    *,
    rule: str = DEFAULT_RULE,
    since: datetime | None = None,
    without_images: bool = False,
    done: Callable[[int], object] = lambda _: None,
) -> Exported:
    """Write a row for each study that was read: where its images are, how many readers, and the state of each finding by the label rule.

    A manifest that `read_manifest` takes. `patient` is a pseudonym that studies of one patient share, or the study where none is known.
    Paths inside the file's folder are relative to it, others absolute. `since` keeps studies with a submission from then on; their labels
    follow from all their submissions. `without_images` writes studies whose images are not there, too, with an empty path. Raises
    InvalidRequest `unknown_label_rule`, StoreUnavailable, OSError.
    """
    check_output(path, "out")
    checked_rule(rule)
    folder, written, left_out = path.parent.absolute(), 0, 0
    with snapshot(database) as connection, written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *finding_keys()])
        for study, place, patient, submissions in _by_study(connection, since):
            if place is None and not without_images:
                left_out += 1
                continue
            label = derive_label(submissions, rule)
            readers = len({submission.reader for submission in submissions})
            cell = "" if place is None else path_cell(studies.absolute() / place, folder)
            writer.writerow([study, cell, patient, readers, *(label.get(key, "not_assessed") for key in finding_keys())])
            written += 1
            done(1)
    return Exported(written, left_out)


def export_json_lines(
    database: Database, path: Path, *, since: datetime | None = None, done: Callable[[int], object] = lambda _: None
) -> Exported:
    """Write every submission whole, one in a line, in the order of arrival: {submission, received_at, shown_probabilities}.

    `since` keeps those that arrived from then on. Raises StoreUnavailable, OSError.
    """
    check_output(path, "out")
    shown = cast(SUBMISSIONS.c.shown_probabilities, Text)
    query = select(SUBMISSIONS.c.document, SUBMISSIONS.c.received_at, shown.label("shown")).order_by(SUBMISSIONS.c.sequence)
    written = 0
    with snapshot(database) as connection, written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in connection.execute(_from(query, since).execution_options(yield_per=FETCHED)):
            record = {
                "submission": json.loads(row.document),
                "received_at": with_zone(row.received_at).isoformat().replace("+00:00", "Z"),
                "shown_probabilities": None if row.shown is None else json.loads(row.shown),
            }
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")
            written += 1
            done(1)
    return Exported(written)


def _by_study(connection: Connection, since: datetime | None) -> Iterator[tuple[str, str | None, str, Sequence[Submission]]]:
    """Each study that was read, where its images are inside the studies folder, its patient, its submissions in the order of arrival."""
    columns = (SUBMISSIONS.c.study, SUBMISSIONS.c.document, STUDIES.c.path, STUDIES.c.present, STUDIES.c.patient_key)
    query = select(*columns).outerjoin(STUDIES, STUDIES.c.study == SUBMISSIONS.c.study)
    if since is not None:
        query = query.where(SUBMISSIONS.c.study.in_(_from(select(SUBMISSIONS.c.study), since)))
    query = query.order_by(SUBMISSIONS.c.study, SUBMISSIONS.c.sequence).execution_options(yield_per=FETCHED)
    of_one_study = groupby(connection.execute(query), key=lambda row: (row.study, row.path, row.present, row.patient_key))
    for (study, path, present, key), rows in of_one_study:
        patient = study if key is None else key[:PATIENT_LETTERS]
        yield study, path if present else None, patient, [Submission.model_validate_json(row.document) for row in rows]


def _from(query: Select, since: datetime | None) -> Select:
    return query if since is None else query.where(SUBMISSIONS.c.received_at >= since.astimezone(UTC).replace(tzinfo=None))


def submissions_stored(database: Database) -> int:
    """How many submissions there are, for a bar of progress."""
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(SUBMISSIONS)).scalar_one()
