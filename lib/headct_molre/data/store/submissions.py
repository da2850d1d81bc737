"""Readers' submissions: append-only, each stored once, with the probabilities that its reader saw."""

from __future__ import annotations

from datetime import datetime

from pydantic import FiniteFloat
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...errors import InvalidRequest
from ...schema import Contract, State, Submission
from .clock import now, with_zone
from .database import Database
from .labels import derive_label
from .predictions import Predictions
from .studies import ensure_study
from .tables import LEASES, STUDIES, SUBMISSIONS


class SubmissionRecord(Contract):
    """A stored submission; `shown_probabilities` {key: probability} is what the reader saw, null when nothing was shown."""

    submission: Submission
    received_at: datetime
    shown_probabilities: dict[str, FiniteFloat] | None


class Submissions:
    """The part of the store that is the truth; everything else can be made again."""

    def __init__(self, database: Database, predictions: Predictions, readers_required: int) -> None:
        self._database = database
        self._predictions = predictions
        self._readers_required = readers_required

    def add(self, submission: Submission) -> SubmissionRecord:
        """Stores a submission and returns its record; on return it is on disk, and the reader's lease has ended.

        A retry (same id, same content) is stored once and answered with the first record.
        Raises InvalidRequest `submission_conflict` when the id was used for something else, `invalid_text`, StoreUnavailable.
        """
        _check_text(submission)
        submission_id, received = str(submission.submission_id), now()
        # Outside the transaction: what was on screen was stored long before, and nobody else has to wait while it is unpacked.
        shown = self._predictions.shown(submission.study, submission.model)
        row = {
            "submission_id": submission_id,
            "study": submission.study,
            "reader": submission.reader,
            "received_at": received,
            "document": submission.model_dump_json(by_alias=True),
            "shown_probabilities": shown,
        }
        try:
            with self._database.writing() as connection:
                ensure_study(connection, submission.study, self._readers_required)
                here = STUDIES.c.study == submission.study
                study = connection.execute(select(STUDIES).where(here).with_for_update()).mappings().one()
                since = (
                    SUBMISSIONS.c.study == submission.study,
                    SUBMISSIONS.c.reader == submission.reader,
                    SUBMISSIONS.c.sequence > study["reopened_after"],
                )
                first = connection.execute(select(SUBMISSIONS.c.sequence).where(*since).limit(1)).first() is None
                connection.execute(insert(SUBMISSIONS).values(row))
                readings = study["readings"] + first
                counted = {"submissions": study["submissions"] + 1, "readings": readings, "is_open": readings < study["readers_required"]}
                connection.execute(update(STUDIES).where(here).values(counted))
                connection.execute(LEASES.delete().where(LEASES.c.study == submission.study, LEASES.c.reader == submission.reader))
        except IntegrityError:
            stored = self.get(submission_id)
            if stored is None:
                raise
            if stored.submission != submission:
                raise InvalidRequest(
                    "submission_conflict",
                    "This submission_id was used for other content; a correction is a new submission with its own id.",
                    field="submission_id",
                    status=409,
                ) from None
            return stored
        return SubmissionRecord(submission=submission, received_at=with_zone(received), shown_probabilities=shown)

    def get(self, submission_id: str) -> SubmissionRecord | None:
        """One submission by its id."""
        query = select(SUBMISSIONS).where(SUBMISSIONS.c.submission_id == submission_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _record(row)

    def of(self, study: str) -> list[SubmissionRecord]:
        """All submissions on a study in the order of their arrival."""
        query = select(SUBMISSIONS).where(SUBMISSIONS.c.study == study).order_by(SUBMISSIONS.c.sequence)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[str, int]:
        """Number of submissions of every study that has one."""
        query = select(STUDIES.c.study, STUDIES.c.submissions).where(STUDIES.c.submissions > 0)
        with self._database.reading() as connection:
            return dict(iter(connection.execute(query)))

    def total(self) -> int:
        """Number of submissions on all studies."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(SUBMISSIONS)).scalar_one()

    def label(self, study: str) -> dict[str, State]:
        """The label of a study, derived from its submissions; see `derive_label`."""
        return derive_label(record.submission for record in self.of(study))


def _check_text(submission: Submission) -> None:
    """A document may hold any character, but PostgreSQL's columns, by which records are found, have no NUL."""
    version = "" if submission.model is None else submission.model.version
    for field, value in (("reader", submission.reader), ("model.version", version)):
        if "\x00" in value:
            raise InvalidRequest("invalid_text", f"{field} holds a NUL character. Send it without.", field=field)


def _record(row: RowMapping) -> SubmissionRecord:
    return SubmissionRecord(
        submission=Submission.model_validate_json(row["document"]),
        received_at=with_zone(row["received_at"]),
        shown_probabilities=row["shown_probabilities"],
    )
