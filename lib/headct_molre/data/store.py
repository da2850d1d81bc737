"""The study store: what readers submitted, what models predicted, and the labels that follow from it.

Submissions are append-only: a correction is a new submission, nothing is ever overwritten, and a label is derived on
demand. SQLite in WAL mode is the default; its commits are flushed to disk (synchronous=FULL), so that what was
acknowledged survives a killed process and a power cut. PostgreSQL works by URL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import FiniteFloat
from sqlalchemy import (
    DDL,
    JSON,
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from ..errors import InvalidRequest
from ..imaging import PREPARATION_VERSION
from ..schema import Contract, Prediction, State, Submission

_METADATA = MetaData()

_STUDIES = Table(
    "studies",
    _METADATA,
    Column("study", String(128), primary_key=True),
    Column("added_at", DateTime, nullable=False),
    Column("content_sha256", String(64)),  # of the images that the latest prediction saw
    Column("info", JSON, nullable=False),
)

_SUBMISSIONS = Table(
    "submissions",
    _METADATA,
    Column("sequence", Integer, primary_key=True),  # order of arrival, which a clock that is set back cannot change
    Column("submission_id", String(36), nullable=False, unique=True),
    Column("study", String(128), nullable=False, index=True),
    Column("reader", String(128), nullable=False),
    Column("received_at", DateTime, nullable=False),
    Column("document", Text, nullable=False),
    Column("shown_probabilities", JSON),
)

_PREDICTIONS = Table(
    "predictions",
    _METADATA,
    Column("content_sha256", String(64), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("preparation", String(16), primary_key=True),
    Column("created_at", DateTime, nullable=False),
    Column("document", Text, nullable=False),
)

for _action in ("UPDATE", "DELETE"):
    _trigger = DDL(
        f"CREATE TRIGGER submissions_no_{_action.lower()} BEFORE {_action} ON submissions "
        "BEGIN SELECT RAISE(ABORT, 'submissions are append-only'); END"
    )
    event.listen(_SUBMISSIONS, "after_create", _trigger.execute_if(dialect="sqlite"))


class SubmissionRecord(Contract):
    """A stored submission; `shown_probabilities` {key: probability} is what the reader saw, null when nothing was shown."""

    submission: Submission
    received_at: datetime
    shown_probabilities: dict[str, FiniteFloat] | None


def sqlite_url(path: Path) -> str:
    """The database URL of an SQLite file."""
    return f"sqlite:///{path}"


class StudyStore:
    """Submissions, predictions and notes on studies in one database; safe to share between threads and processes."""

    def __init__(self, url: str) -> None:
        """Opens the database and creates what is missing in it."""
        self._engine = _engine(url)
        _METADATA.create_all(self._engine)

    def close(self) -> None:
        """Closes the connections; the store cannot be used afterwards."""
        self._engine.dispose()

    def add_submission(self, submission: Submission) -> SubmissionRecord:
        """Stores a submission and returns its record; on return it is on disk.

        A retry (same id, same content) is stored once and answered with the first record.
        Raises InvalidRequest `submission_conflict` when the id was used for something else.
        """
        submission_id = str(submission.submission_id)
        row = {
            "submission_id": submission_id,
            "study": submission.study,
            "reader": submission.reader,
            "received_at": _now(),
            "document": submission.model_dump_json(by_alias=True),
            "shown_probabilities": self._shown_probabilities(submission),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_SUBMISSIONS).values(row))
        except IntegrityError:
            stored = self._submission(submission_id)
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
        self._add_study(submission.study)
        stored = self._submission(submission_id)
        assert stored is not None
        return stored

    def submissions(self, study: str) -> list[SubmissionRecord]:
        """All submissions on a study in the order of their arrival."""
        query = select(_SUBMISSIONS).where(_SUBMISSIONS.c.study == study).order_by(_SUBMISSIONS.c.sequence)
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def submission_counts(self) -> dict[str, int]:
        """Number of submissions of every study that has one."""
        query = select(_SUBMISSIONS.c.study, func.count()).group_by(_SUBMISSIONS.c.study)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def label(self, study: str) -> dict[str, State]:
        """The label of a study, derived from its submissions; see `derive_label`."""
        return derive_label(record.submission for record in self.submissions(study))

    def put_prediction(self, content_sha256: str, prediction: Prediction) -> None:
        """Stores a prediction on the images with this hash, and notes that the study has these images.

        The first prediction of a model version on the same images stays: repeated requests get one answer.
        """
        row = {
            "content_sha256": content_sha256,
            "model": prediction.model.name,
            "version": prediction.model.version,
            "preparation": PREPARATION_VERSION,
            "created_at": _now(),
            "document": prediction.to_json(),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_PREDICTIONS).values(row))
        except IntegrityError:
            pass  # another process was first
        self.set_content(prediction.study, content_sha256)

    def get_prediction(self, content_sha256: str, model: str, version: str) -> Prediction | None:
        """The stored prediction of a model version on the images with this hash, as they are prepared today."""
        table = _PREDICTIONS.c
        query = select(table.document).where(
            table.content_sha256 == content_sha256,
            table.model == model,
            table.version == version,
            table.preparation == PREPARATION_VERSION,
        )
        with self._engine.connect() as connection:
            document = connection.execute(query).scalar()
        return None if document is None else Prediction.model_validate_json(document)

    def set_content(self, study: str, content_sha256: str) -> None:
        """Notes which images a study has, so that a submission finds the probabilities that were shown for it."""
        self._update_study(study, lambda _: {"content_sha256": content_sha256})

    def study_info(self, study: str) -> dict[str, Any]:
        """Free notes on a study (when a strategy offered it, who uploaded it); empty for an unknown study."""
        query = select(_STUDIES.c.info).where(_STUDIES.c.study == study)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() or {}

    def update_study_info(self, study: str, info: dict[str, Any]) -> None:
        """Merges notes into those of a study."""
        self._update_study(study, lambda row: {"info": {**row["info"], **info}})

    def _update_study(self, study: str, change: Callable[[RowMapping], dict[str, Any]]) -> None:
        self._add_study(study)
        here = _STUDIES.c.study == study
        with self._engine.begin() as connection:
            row = connection.execute(select(_STUDIES).where(here).with_for_update()).mappings().one()
            connection.execute(update(_STUDIES).where(here).values(change(row)))

    def _add_study(self, study: str) -> None:
        with self._engine.connect() as connection:
            if connection.execute(select(_STUDIES.c.study).where(_STUDIES.c.study == study)).first():
                return
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_STUDIES).values(study=study, added_at=_now(), info={}))
        except IntegrityError:
            pass  # another thread was first

    def _submission(self, submission_id: str) -> SubmissionRecord | None:
        query = select(_SUBMISSIONS).where(_SUBMISSIONS.c.submission_id == submission_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _record(row)

    def _shown_probabilities(self, submission: Submission) -> dict[str, float] | None:
        if submission.model is None:
            return None
        query = select(_STUDIES.c.content_sha256).where(_STUDIES.c.study == submission.study)
        with self._engine.connect() as connection:
            content_sha256 = connection.execute(query).scalar()
        if content_sha256 is None:
            return None
        prediction = self.get_prediction(content_sha256, submission.model.name, submission.model.version)
        return None if prediction is None else {result.key: result.probability for result in prediction.findings}


def derive_label(submissions: Iterable[Submission]) -> dict[str, State]:
    """{key: state} by the majority of the readers, each with the latest of their submissions; a tie is uncertain.

    `submissions` come in the order of their arrival. A reader's later submission replaces the earlier one as a whole.
    not_assessed never counts; a finding that nobody assessed is not in the label.
    """
    latest = {submission.reader: submission for submission in submissions}
    votes: dict[str, Counter[State]] = {}
    for submission in latest.values():
        for key, state in submission.findings.items():
            if state != "not_assessed":
                votes.setdefault(key, Counter())[state] += 1
    return {key: _majority(counter) for key, counter in votes.items()}


def _majority(counter: Counter[State]) -> State:
    (state, most), *others = counter.most_common(2)
    return "uncertain" if others and others[0][1] == most else state


def _record(row: RowMapping) -> SubmissionRecord:
    return SubmissionRecord(
        submission=Submission.model_validate_json(row["document"]),
        received_at=row["received_at"].replace(tzinfo=UTC),
        shown_probabilities=row["shown_probabilities"],
    )


def _now() -> datetime:
    """UTC without its zone, which SQLite does not keep."""
    return datetime.now(UTC).replace(tzinfo=None)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return engine
