"""The study store: what readers submitted, what models predicted, and the labels that follow from it.

Submissions are append-only: a correction is a new submission, nothing is ever overwritten, and a label is derived on
demand. SQLite in WAL mode; its commits are flushed to disk (synchronous=FULL), so that what was acknowledged survives a
killed process and a power cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import FiniteFloat, ValidationError
from sqlalchemy import (
    DDL,
    JSON,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    and_,
    create_engine,
    delete,
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
from ..schema import Contract, ModelCard, Prediction, PredictionModel, State, Submission

_METADATA = MetaData()

_STUDIES = Table(
    "studies",
    _METADATA,
    Column("study", String(128), primary_key=True),
    Column("added_at", DateTime, nullable=False),
    Column("content_sha256", String(64)),  # of the images whose prediction was shown last
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
    Column("weights_sha256", String(64), primary_key=True),  # in development, a version may be built anew under its name
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
            with self._writing() as connection:
                connection.execute(insert(_SUBMISSIONS).values(row))
                _add_study(connection, submission.study)
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
        """Stores a prediction on the images with this hash.

        The first prediction of a model version on the same images stays: repeated requests get one answer.
        """
        here = _prediction_key(content_sha256, prediction.model)
        row = {
            "content_sha256": content_sha256,
            "model": prediction.model.name,
            "version": prediction.model.version,
            "weights_sha256": prediction.model.weights_sha256,
            "preparation": PREPARATION_VERSION,
            "created_at": _now(),
            "document": prediction.to_json(),
        }
        with self._writing() as connection:
            if _first_valid(connection.execute(select(_PREDICTIONS.c.document).where(here)).scalars()) is None:
                connection.execute(delete(_PREDICTIONS).where(here))
                connection.execute(insert(_PREDICTIONS).values(row))

    def get_prediction(self, content_sha256: str, model: ModelCard | PredictionModel) -> Prediction | None:
        """The stored prediction of a model version on the images with this hash, as they are prepared today."""
        query = select(_PREDICTIONS.c.document).where(_prediction_key(content_sha256, model))
        with self._engine.connect() as connection:
            return _first_valid(connection.execute(query).scalars())

    def set_content(self, study: str, content_sha256: str) -> None:
        """Notes which images a study has, so that a submission finds the probabilities that were shown for it."""
        with self._writing() as connection:
            _add_study(connection, study)
            connection.execute(update(_STUDIES).where(_STUDIES.c.study == study).values(content_sha256=content_sha256))

    def study_info(self, study: str) -> dict[str, Any]:
        """Free notes on a study (when a strategy offered it, who uploaded it); empty for an unknown study."""
        query = select(_STUDIES.c.info).where(_STUDIES.c.study == study)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() or {}

    def update_study_info(self, study: str, info: dict[str, Any]) -> None:
        """Merges notes into those of a study."""
        self._change_info(study, lambda before: {**before, **info})

    def note_offer(self, study: str, strategy: str, offer: dict[str, Any]) -> dict[str, Any]:
        """Notes when a strategy offered a study to whom; returns all notes on the study."""
        return self._change_info(study, lambda before: {**before, "strategy": {**before.get("strategy", {}), strategy: offer}})

    def _change_info(self, study: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        here = _STUDIES.c.study == study
        with self._writing() as connection:
            _add_study(connection, study)
            info = change(connection.execute(select(_STUDIES.c.info).where(here).with_for_update()).scalar_one())
            connection.execute(update(_STUDIES).where(here).values(info=info))
        return info

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction that no other write interleaves with.

        SQLite by itself locks at the first write, and by then another process may have changed what was read before it.
        """
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _submission(self, submission_id: str) -> SubmissionRecord | None:
        query = select(_SUBMISSIONS).where(_SUBMISSIONS.c.submission_id == submission_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _record(row)

    def _shown_probabilities(self, submission: Submission) -> dict[str, float] | None:
        if submission.model is None:
            return None
        # A submission names no weights and no preparation: the latest prediction of the version is what was on screen.
        query = (
            select(_PREDICTIONS.c.document)
            .join(_STUDIES, _STUDIES.c.content_sha256 == _PREDICTIONS.c.content_sha256)
            .where(
                _STUDIES.c.study == submission.study,
                _PREDICTIONS.c.model == submission.model.name,
                _PREDICTIONS.c.version == submission.model.version,
            )
            .order_by(_PREDICTIONS.c.created_at.desc())
        )
        with self._engine.connect() as connection:
            prediction = _first_valid(connection.execute(query).scalars())
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


def _prediction_key(content_sha256: str, model: ModelCard | PredictionModel) -> ColumnElement[bool]:
    table = _PREDICTIONS.c
    return and_(
        table.content_sha256 == content_sha256,
        table.model == model.name,
        table.version == model.version,
        table.weights_sha256 == model.weights_sha256,
        table.preparation == PREPARATION_VERSION,
    )


def _first_valid(documents: Iterable[str]) -> Prediction | None:
    """Predictions can be made again, so a document that an older release wrote otherwise counts as absent."""
    for document in documents:
        try:
            return Prediction.model_validate_json(document)
        except ValidationError:
            continue
    return None


def _add_study(connection: Connection, study: str) -> None:
    if connection.execute(select(_STUDIES.c.study).where(_STUDIES.c.study == study)).first() is None:
        connection.execute(insert(_STUDIES).values(study=study, added_at=_now(), info={}))


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
