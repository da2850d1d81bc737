"""Retraining on the server, watched from here: job, log, gate, promotion, and what changed on the open study."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..core.comparison import summary
from ..core.errors import ServerError, sentence
from ..core.gate import GateSummary
from ..core.prediction import PredictionView
from ..core.retrain import JobView, LogTail, Readiness, VersionRow, version_rows
from ..core.worker import Ticket, Worker
from ..ui.signal import Signal
from .connection import Connection, ConnectionState
from .reading import Reading

LANE = "learning"
POLL_S = 1.0
OVERVIEW_S = 20.0
JUDGED = ("promote", "hold", "reject")


@dataclass(frozen=True)
class LearningState:
    """What the panel shows. `readiness` and `versions` are None and empty where the server has no such routes or nothing is known yet."""

    may_train: bool = False
    readiness: Readiness | None = None
    versions: tuple[VersionRow, ...] = ()
    job: JobView | None = None
    log: str = ""
    gate: GateSummary | None = None
    problem: str = ""
    news: str = ""
    changes: str = ""

    @property
    def served(self) -> str:
        """The version that predicts."""
        return next((row.version for row in self.versions if row.champion), "")

    @property
    def candidate(self) -> str:
        """The version that waits."""
        return next((row.version for row in self.versions if row.candidate and not row.champion), "")


@dataclass(frozen=True)
class _Overview:
    readiness: Readiness
    versions: tuple[VersionRow, ...]
    job: JobView | None
    gate: GateSummary | None


class Learning:
    """Emits `changed(state)`, and `served()` when another version predicts than before."""

    def __init__(self, worker: Worker, connection: Connection, reading: Reading) -> None:
        self.changed = Signal("the LearningState")
        self.served = Signal("another version predicts now")
        self.compared = Signal("predictions of the open study before and after")
        self.state = LearningState()
        self.settings: dict[str, Any] = {}  # of a fine-tune, where they are to differ from the server's
        self._worker, self._connection, self._reading = worker, connection, reading
        self._overview: Ticket | None = None
        self._poll: Ticket | None = None
        self._log = LogTail()
        self._looked = self._polled = 0.0
        self._before: PredictionView | None = None
        self._told = ""  # the version of which it was last said that it is served
        self._of = ("", "")  # the server and the model that all this is about
        connection.changed.connect(self._connection_changed)
        connection.connected.connect(self.refresh)
        reading.predicted.connect(self._predicted)

    def refresh(self, *_arguments: object) -> None:
        """Looks at readiness, versions, the last job and the gate's report."""
        client, model = self._connection.client, self._connection.model
        if client is None or not model or (self._overview is not None and self._overview.pending):
            return
        self._looked = time.monotonic()

        def look(ticket: Ticket) -> _Overview:
            readiness = Readiness.from_json(client.training(model, ticket))
            versions = version_rows(client.versions(model, ticket))
            found = client.job(readiness.running, ticket) if readiness.running else next(iter(client.jobs("train", 1, ticket)), None)
            job = JobView.from_json(found) if found is not None else None
            judged = _judged(job if job is not None and job.model == model else None, versions)
            gate = GateSummary.from_json(client.gate(model, judged, ticket)) if judged else None
            return _Overview(readiness, versions, job, gate)

        self._overview = self._worker.submit(look, self._seen, self._no_overview, label="Looking at training", lane=LANE)

    def start(self, mode: str) -> None:
        """Starts a training from all corrections."""
        client, model = self._connection.client, self._connection.model
        if client is not None and model:
            self._log, settings = LogTail(), dict(self.settings)
            self._set(problem="", news="", changes="", log="", job=None, gate=None)
            self._do(
                lambda ticket: client.train(model, {**settings, "mode": mode}, ticket=ticket),
                lambda _task: self.refresh(),
                "Starting training",
            )

    def resume(self) -> None:
        """Goes on with a training that was interrupted."""
        self._with_job(lambda client, job_id, ticket: client.resume_job(job_id, ticket), "Resuming training")

    def cancel(self) -> None:
        """Ends a training; the served version stays."""
        self._with_job(lambda client, job_id, ticket: client.cancel_job(job_id, ticket), "Cancelling training")

    def promote(self, reason: str) -> None:
        """Has the candidate served, if the champion is still the one that is on the screen."""
        client, model, state, who = self._connection.client, self._connection.model, self.state, self._connection.reader
        if client is None or not state.candidate:
            return
        version, against = state.candidate, state.served

        def work(ticket: Ticket) -> Any:
            return client.promote(model, version, reason=reason, against=against, reader=who, ticket=ticket)

        self._do(work, lambda _event: self._serve(version, f"{version} is served now."), "Promoting")

    def roll_back(self, reason: str) -> None:
        """Has the version before served again."""
        client, model, who = self._connection.client, self._connection.model, self._connection.reader
        if client is None:
            return

        def work(ticket: Ticket) -> Any:
            return client.rollback(model, reason=reason, reader=who, ticket=ticket)

        self._do(work, lambda event: self._serve(event["after"], f"{event['after']} is served again."), "Rolling back")

    def fetch_page(self, shown: Callable[[str], None]) -> None:
        """The gate's report as HTML, given to `shown`: a browser has no token, so the page is fetched here."""
        client, model, gate = self._connection.client, self._connection.model, self.state.gate
        if client is not None and gate is not None:
            self._do(lambda ticket: client.gate_page(model, gate.candidate, ticket), shown, "Fetching the report")

    def tick(self) -> None:
        """Follows a running job, and looks at all else now and then; for a timer of any pace."""
        now, job = time.monotonic(), self.state.job
        if job is not None and job.running:
            if now - self._polled >= POLL_S and not (self._poll is not None and self._poll.pending):
                self._polled = now
                self._follow(job.job_id)
        elif self.state.readiness is not None and now - self._looked >= OVERVIEW_S:
            self.refresh()

    def close(self) -> None:
        """Stops watching; the server goes on."""
        for ticket in (self._overview, self._poll):
            if ticket is not None:
                ticket.cancel()

    def _follow(self, job_id: str) -> None:
        client, log = self._connection.client, self._log
        if client is None:
            return

        def look(ticket: Ticket) -> tuple[JobView, dict[str, Any]]:
            return JobView.from_json(client.job(job_id, ticket)), client.job_log(job_id, log.after, ticket)

        def seen(found: tuple[JobView, dict[str, Any]]) -> None:
            job, part = found
            if self._connection.state.lost:
                self._connection.refresh()  # it has just answered
            self._set(job=job, log=log.add(part), problem="")  # its line says why it failed
            if not job.running:
                self._looked = 0.0
                if job.promoted:
                    self._serve(job.version, f"The gate promoted {job.version}; it is served now.")
                else:
                    self.refresh()

        self._poll = self._worker.submit(look, seen, self._no_overview, label="Following training", lane=LANE)

    def _seen(self, overview: _Overview) -> None:
        before, self._told = self.state.served, self._told or self.state.served
        job = overview.job if overview.job is not None and overview.job.model == self._connection.model else None
        self._set(readiness=overview.readiness, versions=overview.versions, job=job, gate=overview.gate)
        if before and self.state.served not in (before, self._told):
            self._serve(self.state.served, f"{self.state.served} is served now.")

    def _no_overview(self, error: BaseException) -> None:
        """A server without these routes has no training; anything else is said."""
        missing = isinstance(error, ServerError) and error.status in (403, 404)
        self._set(problem="" if missing else sentence(error), readiness=None if missing else self.state.readiness)

    def _serve(self, version: str, news: str) -> None:
        """Another version predicts: the open study is predicted again, and what changed is shown."""
        self._told = version
        self._before = self._reading.state.prediction
        self._set(news=news, problem="", changes="")
        self._connection.refresh()
        self.refresh()
        self._reading.predict()
        self.served.emit()

    def _predicted(self, view: PredictionView) -> None:
        before, self._before = self._before, None
        if before is not None and before.study == view.study:
            self._set(changes=summary(before, view))
            self.compared.emit(before, view)

    def _with_job(self, act: Callable[[Any, str, Ticket], Any], label: str) -> None:
        client, job = self._connection.client, self.state.job
        if client is not None and job is not None:
            self._do(lambda ticket: act(client, job.job_id, ticket), lambda _job: self.refresh(), label)

    def _do(self, work: Callable[[Ticket], Any], done: Callable[[Any], None], label: str) -> None:
        self._worker.submit(work, done, lambda error: self._set(problem=sentence(error)), label=label, lane=LANE)

    def _connection_changed(self, state: ConnectionState) -> None:
        self._set(may_train=state.status is not None and state.status.may_train)
        of = (state.address, self._connection.model)
        if of != self._of and state.phase == "connected":
            self._of, self._told = of, ""
            self.close()
            self._set(readiness=None, versions=(), job=None, log="", gate=None, problem="", news="", changes="")
            self.refresh()

    def _set(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.changed.emit(state)


def _judged(job: JobView | None, versions: tuple[VersionRow, ...]) -> str:
    """The version whose report is shown: that of the last training, which may be served or rejected by now, else the candidate's."""
    if job is not None and job.running:
        return ""
    if job is not None and job.version is not None and any(row.version == job.version for row in versions):
        return job.version
    return next((row.version for row in versions if row.candidate and row.gate in JUDGED), "")
