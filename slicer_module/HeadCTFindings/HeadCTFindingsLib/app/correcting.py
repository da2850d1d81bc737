"""One reader's calls on the open study: kept at every change, submitted once, sent until the server has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.calls import SCHEMA as CALLS_SCHEMA
from ..core.calls import Calls, Change
from ..core.errors import NotReadable, sentence
from ..core.history import latest_of, readings
from ..core.journal import Journal, StudyJournal
from ..core.outbox import Outbox, Sent
from ..core.prediction import PredictionView
from ..core.submission import Stopwatch, submission
from ..core.worker import Ticket, Worker
from ..ui.signal import Signal
from .connection import Connection
from .reading import Reading


@dataclass(frozen=True)
class CorrectingState:
    """What the panel shows; `unsubmitted` findings differ from what was last submitted, `said` is the last news.

    `on_the_way` is whether calls on this study wait for the server; `history` are the server's records that this reader may see,
    `hidden` counts those of others that could sway a first reading.
    """

    study: str = ""
    calls: int = 0
    unsubmitted: int = 0
    submittable: bool = False
    comment: str = ""
    waiting: int = 0
    on_the_way: bool = False
    outbox_line: str = ""
    said: str = ""
    history: tuple[dict[str, Any], ...] = ()
    hidden: int = 0

    @property
    def open(self) -> bool:
        """Whether there is a study to be called."""
        return bool(self.study)


class Correcting:
    """Emits `changed(state)`, `replaced()` for the table, `kept(study, document)` for the scene at every change, `stored(study)`."""

    def __init__(self, worker: Worker, connection: Connection, reading: Reading, folder: Path) -> None:
        self.changed = Signal("the CorrectingState")
        self.replaced = Signal("the Calls object is another one")
        self.kept = Signal("study and its calls, to be kept in the scene too")
        self.stored = Signal("study whose submission the server has")
        self.calls: Calls | None = None
        self.stopwatch = Stopwatch()
        self.journal, self.outbox = Journal(folder / "journal"), Outbox(folder / "outbox")
        self.state = CorrectingState()
        self._worker, self._connection, self._reading = worker, connection, reading
        self._study_journal: StudyJournal | None = None
        self._view: PredictionView | None = None
        self._server = ""  # of the open study; it may not answer when the calls are submitted
        self._history: Ticket | None = None
        self._flush: Ticket | None = None
        reading.opened.connect(self._opened)
        reading.predicted.connect(self._predicted)
        connection.connected.connect(self.send_waiting)
        self._count()

    def write_comment(self, comment: str) -> None:
        """The comment as it is being typed."""
        if self.calls is not None and comment != self.calls.comment:
            self.calls.comment = comment
            if self._study_journal is not None:
                self._study_journal.note_comment(comment)
            self._changed()

    def submit(self) -> None:
        """Puts the calls on the way; they are on this computer's disk, under an id of their own, before anything is sent."""
        calls, study = self.calls, self.state.study
        if calls is None or not study:
            return
        try:
            document = submission(calls, study, self._connection.reader, self._view, self.stopwatch.seconds)
            self.outbox.put(self._server, document)
        except (ValueError, OSError) as error:
            self._set(said=sentence(error))
            return
        calls.mark_submitted()
        if self._study_journal is not None:
            self._study_journal.close(document["submission_id"])
        self.stopwatch.reset()
        self.stopwatch.touch()
        self._changed()
        self._set(said="On the way to the server ...")
        self._send()

    def send_waiting(self) -> None:
        """Tries everything that waits at once."""
        client = self._connection.client
        if client is not None:
            self.outbox.make_due(client.address.base)
            self._send()

    def tick(self) -> None:
        """Sends what is due; for a timer of any pace."""
        client = self._connection.client
        if client is not None and self.outbox.seconds_to_next(client.address.base) == 0:
            self._send()

    def restore(self, study: str, document: Any) -> None:
        """Takes calls of the scene over where this computer's journal has none. Raises NotReadable."""
        if study == self.state.study and self.calls is not None and not self.calls.called:
            self._take(Calls.from_json(document, self.calls.keys))

    def close(self) -> None:
        """Leaves the study; what was called is on the disk already."""
        if self._study_journal is not None and self.calls is not None and self.calls.dirty:
            self._study_journal.note_seconds(self.stopwatch.seconds)
        if self._history is not None:
            self._history.cancel()
        self.calls = self._study_journal = self._view = None
        self.stopwatch.reset()

    def _opened(self, study: str) -> None:
        self.close()
        client, catalogue = self._connection.client, self._connection.catalogue
        if not study or client is None or catalogue is None:
            self._set(study="", history=(), hidden=0, said="", comment="")
            self._changed(keep=False)
            self.replaced.emit()
            return
        self._server, reader = client.address.base, self._connection.reader
        self._study_journal = self.journal.open(self._server, study, reader)
        restored = self._study_journal.restore(catalogue.keys)
        self._set(study=study, history=(), hidden=0, said="Your calls of before were restored." if restored is not None else "")
        self._take(restored if restored is not None else Calls(catalogue.keys))
        self.stopwatch.touch()
        self._fetch_history()

    def _take(self, calls: Calls) -> None:
        calls.listener = self._called
        self.calls = calls
        self._changed(keep=False)
        self.replaced.emit()

    def _called(self, _changes: tuple[Change, ...]) -> None:
        self.stopwatch.touch()
        try:
            if self._study_journal is not None and self.calls is not None:
                self._study_journal.note(self.calls)
        except OSError as error:
            self._set(said=f"This computer could not keep the call: {error}")
        self._changed()

    def _predicted(self, view: PredictionView) -> None:
        self._view = view

    def _fetch_history(self) -> None:
        client, study, reader = self._connection.client, self.state.study, self._connection.reader
        if client is None or not study:
            return

        def work(ticket: Ticket) -> tuple[list[dict[str, Any]], Any]:
            records = client.submissions(study, ticket)
            return records, readings(records, reader)

        def arrived(found: tuple[list[dict[str, Any]], Any]) -> None:
            records, read = found
            mine = latest_of(read, reader)
            if mine is not None and self.calls is not None and not self.calls.called and self.calls.undo_text is None:
                same = {"findings": mine.findings, "comment": mine.comment}
                self._take(Calls.from_json({"schema": CALLS_SCHEMA, **same, "submitted": same}, self.calls.keys))
            hidden = {each.submission_id for each in read if each.hidden}
            seen = tuple(record for record in records if record["submission"]["submission_id"] not in hidden)
            self._set(history=seen, hidden=len(hidden))

        self._history = self._worker.submit(work, arrived, self._unheard, label="Earlier submissions", lane="history")

    def _unheard(self, error: BaseException) -> None:
        if isinstance(error, NotReadable):
            self._set(said=sentence(error))

    def _send(self) -> None:
        client = self._connection.client
        if client is None or (self._flush is not None and self._flush.pending):
            return
        base = client.address.base
        self._flush = self._worker.submit(
            lambda ticket: self.outbox.flush(base, lambda document: client.submit(document, ticket), ticket.check),
            self._sent,
            lambda error: self._set(said=sentence(error)),
            label="Submitting",
            lane="outbox",
        )

    def _sent(self, sent: Sent) -> None:
        self._count()
        if sent.refused:
            self._set(said=f"The server refused a submission: {sent.refused[0].refused}")
        elif sent.waiting:
            self._set(said="")
            self._connection.refresh()
        if sent.stored and self._connection.state.lost:
            self._connection.refresh()
        for receipt in sent.stored.values():
            study = str(receipt["study"])
            if study == self.state.study:
                self._reading.finished = True
                self._set(said=f"Submitted; the server has it since {_clock(str(receipt['received_at']))}.")
                self._fetch_history()
            self.stored.emit(study)

    def _changed(self, keep: bool = True) -> None:
        """Counts anew, and has the scene follow; not where calls were only taken up, or the scene's own would be lost."""
        calls = self.calls
        if calls is None:
            self._set(calls=0, unsubmitted=0, submittable=False)
        else:
            document = calls.to_json()
            called, submitted = calls.called, document["submitted"]["findings"]
            unsubmitted = sum(called.get(key) != submitted.get(key) for key in {*called, *submitted})
            self._set(calls=len(called), unsubmitted=unsubmitted, submittable=calls.submittable, comment=calls.comment)
            if keep:
                self.kept.emit(self.state.study, document)
        self._count()

    def _count(self) -> None:
        waiting = self.outbox.waiting()
        mine = any(letter.study == self.state.study for letter in waiting)
        self._set(waiting=len(waiting), on_the_way=mine, outbox_line=self.outbox.line)

    def _set(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.changed.emit(state)


def _clock(at: str) -> str:
    """The time of day of an ISO time, in UTC as the server says it."""
    return f"{at[11:16]} UTC" if len(at) > 16 else at
