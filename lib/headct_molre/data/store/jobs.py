"""Long work of the server (batch inference, training): who wanted it, how far it is, how it ended. Every row is kept.

    queued -> running -> succeeded | failed
    queued | running -> interrupted (its process ended) -> running again, or queued first
    queued | running | interrupted -> cancelled

Each transition is checked in the transaction that makes it, so a cancellation is never lost: whoever runs the job learns of it from
`progress`, and cannot finish what was cancelled.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import RowMapping, insert, select, update

from ...errors import HeadCTError, InvalidRequest, NotFound
from ...schema import Contract
from .clock import now, with_zone
from .database import Database
from .tables import JOBS

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
ACTIVE: tuple[State, ...] = ("queued", "running")
UNFINISHED: tuple[State, ...] = ("queued", "running", "interrupted")
MAX_PAGE = 500


class JobConflict(HeadCTError):
    """The job is not in a state from which this can be done (`job_ended`, `job_running`), or another one runs (`busy`)."""

    status = 409


class Job(Contract):
    """One job. `process` names the server process that runs it and does not go over the wire."""

    job_id: str
    sequence: int
    kind: str
    model: str | None
    state: State
    owner: str
    request: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    process: str | None = Field(exclude=True)
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime


class Jobs:
    """The part of the store that remembers the server's work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        kind: str,
        request: dict[str, Any],
        *,
        owner: str = "",
        model: str | None = None,
        process: str | None = None,
        alone: bool = False,
    ) -> Job:
        """A new job in the state queued; with `alone`, only where no other of its kind is queued or runs.

        Raises JobConflict `busy` (429), StoreUnavailable.
        """
        at = now()
        row: dict[str, Any] = {
            "job_id": str(uuid.uuid4()),
            "kind": kind,
            "model": model,
            "state": "queued",
            "owner": owner,
            "process": process,
            "request": _finite(request),
            "progress": {},
            "created_at": at,
            "updated_at": at,
        }
        with self._database.writing() as connection:
            if alone:
                if not self._database.is_sqlite:  # SQLite has locked already; here, no other may add a row between look and insert
                    connection.exec_driver_sql("LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")
                running = select(JOBS.c.job_id).where(JOBS.c.kind == kind, JOBS.c.state.in_(ACTIVE)).limit(1)
                if (other := connection.execute(running).scalar()) is not None:
                    message = f"A job of this kind runs already: {other}. Wait for it or cancel it with DELETE /headct/jobs/{other}."
                    raise JobConflict("busy", message, status=429)
            connection.execute(insert(JOBS).values(row))
            return _job(connection.execute(select(JOBS).where(JOBS.c.job_id == row["job_id"])).mappings().one())

    def start(self, job_id: str, process: str) -> Job:
        """queued or interrupted -> running, in this process; of two processes one gets it. Raises JobConflict, NotFound."""
        return self._move(job_id, "running", ("queued", "interrupted"), process=process, started_at=now(), ended_at=None)

    def requeue(self, job_id: str, process: str) -> Job:
        """interrupted -> queued, to go on in this process when its turn comes. Raises JobConflict, NotFound."""
        return self._move(job_id, "queued", ("interrupted",), process=process)

    def progress(self, job_id: str, progress: dict[str, Any]) -> bool:
        """Merges what is known of a running job; False when it does not run any more and its work is to stop. Raises NotFound."""
        with self._database.writing() as connection:
            row = self._locked(connection, job_id)
            if row["state"] != "running":
                return False
            values = {"progress": {**row["progress"], **_finite(progress)}, "updated_at": now()}
            connection.execute(update(JOBS).where(JOBS.c.job_id == job_id).values(values))
        return True

    def finish(self, job_id: str, result: dict[str, Any] | None = None) -> Job:
        """running -> succeeded. Raises JobConflict when it was cancelled meanwhile, NotFound."""
        return self._move(job_id, "succeeded", ("running",), result=None if result is None else _finite(result), ended_at=now())

    def fail(self, job_id: str, error: HeadCTError) -> Job:
        """queued or running -> failed, with {code, message}. Raises JobConflict, NotFound."""
        return self._move(job_id, "failed", ACTIVE, error=error.to_json(), ended_at=now())

    def cancel(self, job_id: str) -> Job:
        """To cancelled from any state in which something is left to do; cancelling twice is no error. Raises JobConflict, NotFound."""
        return self._move(job_id, "cancelled", UNFINISHED, ended_at=now())

    def interrupt(self, job_id: str) -> Job:
        """queued or running -> interrupted: its process stops, and another one may go on. Raises JobConflict, NotFound."""
        return self._move(job_id, "interrupted", ACTIVE)

    def interrupt_orphans(self, is_gone: Callable[[str | None, datetime], bool]) -> list[Job]:
        """Marks the jobs of processes that ended without a word as interrupted; `is_gone(process, updated_at)` judges."""
        with self._database.writing() as connection:
            rows = connection.execute(select(JOBS).where(JOBS.c.state.in_(ACTIVE)).with_for_update()).mappings().all()
            gone = [row["job_id"] for row in rows if is_gone(row["process"], with_zone(row["updated_at"]))]
            connection.execute(update(JOBS).where(JOBS.c.job_id.in_(gone)).values(state="interrupted", updated_at=now()))
        return [self.get(job_id) for job_id in gone]

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFound `unknown_job`."""
        with self._database.reading() as connection:
            row = connection.execute(select(JOBS).where(JOBS.c.job_id == job_id)).mappings().first()
        if row is None:
            raise _unknown()
        return _job(row)

    def list(
        self,
        limit: int = 50,
        before: int | None = None,
        kind: str | None = None,
        states: Iterable[State] | None = None,
        model: str | None = None,
    ) -> list[Job]:
        """A page of jobs, the newest first; `before` is the sequence of the last one of the page before. Raises InvalidRequest."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequest("invalid_limit", f"A page has 1 to {MAX_PAGE} jobs.", field="limit")
        query = select(JOBS).order_by(JOBS.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(JOBS.c.sequence < before)
        if kind is not None:
            query = query.where(JOBS.c.kind == kind)
        if model is not None:
            query = query.where(JOBS.c.model == model)
        if states is not None:
            query = query.where(JOBS.c.state.in_(list(states)))
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def _move(self, job_id: str, state: State, allowed: tuple[State, ...], **values: Any) -> Job:
        with self._database.writing() as connection:
            row = self._locked(connection, job_id)
            if row["state"] == state == "cancelled":
                return _job(row)
            if row["state"] not in allowed:
                code = "job_ended" if row["state"] not in UNFINISHED else f"job_{row['state']}"
                raise JobConflict(code, f"The job is {row['state']}; it cannot become {state}.", field="job")
            connection.execute(update(JOBS).where(JOBS.c.job_id == job_id).values(state=state, updated_at=now(), **values))
            return _job(self._locked(connection, job_id))

    @staticmethod
    def _locked(connection: Any, job_id: str) -> RowMapping:
        row: RowMapping | None = connection.execute(select(JOBS).where(JOBS.c.job_id == job_id).with_for_update()).mappings().first()
        if row is None:
            raise _unknown()
        return row


def _job(row: RowMapping) -> Job:
    times = {name: None if row[name] is None else with_zone(row[name]) for name in ("created_at", "started_at", "ended_at", "updated_at")}
    return Job.model_validate({**row, **times})


def _finite(document: dict[str, Any]) -> dict[str, Any]:
    """The document, when it goes over the wire as it is; ValueError for a NaN, which is a mistake of the program."""
    json.dumps(document, allow_nan=False)
    return document


def _unknown() -> NotFound:
    return NotFound("unknown_job", "There is no such job; /headct/jobs lists them.", field="job")
