"""Readers' submissions: append-only, each stored once, with the probabilities that its reader saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic import FiniteFloat
from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...errors import InvalidRequest
from ...schema import Contract, State, Submission
from .clock import now, with_zone
from .database import Database
from .labels import DEFAULT_RULE, checked_rule, derive_label
from .predictions import Predictions
from .studies import ensure_studies, ensure_study
from .tables import LEASES, STUDIES, SUBMISSIONS

Shown = dict[str, float] | None  # {key: probability}, None where nothing was shown
_BATCH = 500  # submissions of one transaction, between which readers' own find their turn


class SubmissionRecord(Contract):
    """A stored submission; `shown_probabilities` {key: probability} is what the reader saw, null when nothing was shown."""

    submission: Submission
    received_at: datetime
    shown_probabilities: dict[str, FiniteFloat] | None


class Submissions:
    """The part of the store that is the truth; everything else can be made again."""

    def __init__(self, database: Database, predictions: Predictions, readers_required: int, label_rule: str = DEFAULT_RULE) -> None:
        """Raises InvalidRequest `unknown_label_rule`."""
        self._database = database
        self._predictions = predictions
        self._readers_required = readers_required
        self._label_rule = checked_rule(label_rule)

    def add(self, submission: Submission) -> SubmissionRecord:
        """Stores a submission and returns its record; on return it is on disk, and the reader's lease has ended.

        A retry (same id, same content) is stored once and answered with the first record.
        Raises InvalidRequest `submission_conflict` when the id was used for something else, `invalid_text`, StoreUnavailable.
        """
        _check_text(submission)
        submission_id, received = str(submission.submission_id), now()
        # Outside the transaction: what was on screen was stored long before, and nobody else has to wait while it is unpacked.
        shown = self._predictions.shown(submission.study, submission.model)
        row = _row(submission, received, shown)
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
                raise _conflict() from None
            return stored
        return SubmissionRecord(submission=submission, received_at=with_zone(received), shown_probabilities=shown)

    def add_many(self, arrivals: Iterable[tuple[Submission, Shown]]) -> int:
        """Stores submissions with what their readers saw, in this order, and returns how many were not there before.

        Several transactions, each whole: where one fails, those before it stay, and the same call stores the rest.
        Raises InvalidRequest `submission_conflict` when an id was used for something else, `invalid_text`, StoreUnavailable.
        """
        added = 0
        for part in _parts(arrivals):
            try:
                added += self._add_part(part)
            except IntegrityError:
                added += self._add_part(part)  # an id was used for another study meanwhile, which is seen now
        return added

    def _add_part(self, part: list[tuple[Submission, Shown]]) -> int:
        by_id: dict[str, tuple[Submission, Shown]] = {}
        for submission, shown in part:
            _check_text(submission)
            if by_id.setdefault(str(submission.submission_id), (submission, shown))[0] != submission:
                raise _conflict()
        with self._database.writing() as connection:
            # Whoever stores one of these submissions has its study locked first, so what is looked up after that is all there is.
            studies = _locked(connection, sorted({submission.study for submission, _ in by_id.values()}), self._readers_required)
            documents = select(SUBMISSIONS.c.submission_id, SUBMISSIONS.c.document).where(SUBMISSIONS.c.submission_id.in_(by_id))
            for submission_id, document in connection.execute(documents).all():
                if Submission.model_validate_json(document) != by_id.pop(submission_id)[0]:
                    raise _conflict()
            if by_id:
                received = now()
                _count(connection, studies, [submission for submission, _ in by_id.values()])
                connection.execute(insert(SUBMISSIONS), [_row(submission, received, shown) for submission, shown in by_id.values()])
        return len(by_id)

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

    def last_sequence(self) -> int:
        """The sequence of the submission that arrived last, 0 where there is none."""
        with self._database.reading() as connection:
            return connection.execute(select(func.coalesce(func.max(SUBMISSIONS.c.sequence), 0))).scalar_one()

    def studies_after(self, sequence: int) -> set[str]:
        """Studies with a submission that arrived after the one of this sequence."""
        query = select(SUBMISSIONS.c.study).where(SUBMISSIONS.c.sequence > sequence).distinct()
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def label(self, study: str) -> dict[str, State]:
        """The label of a study, derived from its submissions by the store's rule; see `derive_label`."""
        return derive_label((record.submission for record in self.of(study)), self._label_rule)


def _check_text(submission: Submission) -> None:
    """A document may hold any character, but PostgreSQL's columns, by which records are found, have no NUL."""
    version = "" if submission.model is None else submission.model.version
    for field, value in (("reader", submission.reader), ("model.version", version)):
        if "\x00" in value:
            raise InvalidRequest("invalid_text", f"{field} holds a NUL character. Send it without.", field=field)


def _row(submission: Submission, received: datetime, shown: Shown) -> dict[str, object]:
    return {
        "submission_id": str(submission.submission_id),
        "study": submission.study,
        "reader": submission.reader,
        "received_at": received,
        "document": submission.model_dump_json(by_alias=True),
        "shown_probabilities": shown,
    }


def _locked(connection: Connection, names: list[str], readers_required: int) -> dict[str, dict[str, Any]]:
    """The rows of studies, added where there were none, and locked in one order, so that two imports never wait for each other."""
    ensure_studies(connection, names, readers_required)
    query = select(STUDIES).where(STUDIES.c.study.in_(names)).order_by(STUDIES.c.study).with_for_update()
    return {row["study"]: dict(row) for row in connection.execute(query).mappings()}


def _count(connection: Connection, studies: dict[str, dict[str, Any]], submissions: list[Submission]) -> None:
    """Brings the counters of locked studies up to date with submissions that are about to be stored, and ends their readers' leases."""
    last = select(SUBMISSIONS.c.study, SUBMISSIONS.c.reader, func.max(SUBMISSIONS.c.sequence)).where(SUBMISSIONS.c.study.in_(studies))
    grouped = connection.execute(last.group_by(SUBMISSIONS.c.study, SUBMISSIONS.c.reader))
    read = {(study, reader) for study, reader, sequence in grouped if sequence > studies[study]["reopened_after"]}
    readings = {(submission.study, submission.reader) for submission in submissions}
    for submission in submissions:
        studies[submission.study]["submissions"] += 1
    for study, _ in readings - read:
        studies[study]["readings"] += 1
    counted = [
        {"name": name, "submissions": row["submissions"], "readings": row["readings"], "is_open": row["readings"] < row["readers_required"]}
        for name, row in studies.items()
    ]
    connection.execute(update(STUDIES).where(STUDIES.c.study == bindparam("name")), counted)
    lease = (LEASES.c.study == bindparam("of_study"), LEASES.c.reader == bindparam("of_reader"))
    connection.execute(LEASES.delete().where(*lease), [{"of_study": study, "of_reader": reader} for study, reader in readings])


def _conflict() -> InvalidRequest:
    message = "This submission_id was used for other content; a correction is a new submission with its own id."
    return InvalidRequest("submission_conflict", message, field="submission_id", status=409)


def _parts(arrivals: Iterable[tuple[Submission, Shown]]) -> Iterator[list[tuple[Submission, Shown]]]:
    iterator = iter(arrivals)
    while part := list(islice(iterator, _BATCH)):
        yield part


def _record(row: RowMapping) -> SubmissionRecord:
    return SubmissionRecord(
        submission=Submission.model_validate_json(row["document"]),
        received_at=with_zone(row["received_at"]),
        shown_probabilities=row["shown_probabilities"],
    )
