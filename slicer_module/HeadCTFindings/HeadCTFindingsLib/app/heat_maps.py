"""Where the model looked for one finding of the open study, asked of the server: off until somebody asks, and cancelled by asking again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..core.client import new_request_id
from ..core.errors import sentence
from ..core.worker import Retry, Ticket, Worker
from ..ui.signal import Signal
from .connection import Connection
from .queue_watch import QueueWatch
from .reading import Reading
from .transfers import fetch_heat_map
from .volume_file import VolumeData

NOT_AN_OUTLINE = "It shows where the model looked, not a lesion's outline."


@dataclass(frozen=True)
class HeatMapState:
    """`finding` is what is asked for or shown, empty for nothing; `text` is what has to be said of it, or why there is none."""

    finding: str = ""
    working: bool = False
    text: str = ""


class HeatMaps:
    """Emits `ready(VolumeData)` for the map that is to be shown, `taken_away()`, and `changed(state)`."""

    def __init__(self, worker: Worker, connection: Connection, reading: Reading) -> None:
        self.changed = Signal("the HeatMapState")
        self.ready = Signal("the map's VolumeData")
        self.taken_away = Signal("no map of the server is to be shown any more")
        self.state = HeatMapState()
        self._worker, self._connection, self._reading = worker, connection, reading
        self._ticket: Ticket | None = None
        self._name = ""
        self._queue = QueueWatch(worker, connection, self._place_heard)
        # A map belongs to one study and one version: what comes next has another.
        reading.opened.connect(self.take_away)
        reading.predicted.connect(self.take_away)

    def ask(self, finding: str) -> None:
        """Asks for the map of a finding, in place of what is asked for or shown."""
        client, catalogue, view = self._connection.client, self._connection.catalogue, self._reading.state.prediction
        self.take_away()
        if client is None or catalogue is None or view is None:
            self._set(text="Open a study first, and wait for its prediction.")
            return
        if not finding:
            self._set(text="Select a finding in the table first.")
            return
        study, model, request_id = self._reading.state.study, view.model, new_request_id()
        self._name = catalogue.name(finding)
        self._set(finding=finding, working=True, text=f"Asking where {model} looked for {self._name} ...")
        self._ticket = self._worker.submit(
            lambda ticket: fetch_heat_map(client, study, finding, model, request_id, ticket),
            self._arrived,
            self._failed,
            label=f"Where {model} looked for {self._name}",
            lane="heat map",
            retry=Retry(),
        )
        self._queue.begin(request_id)

    def take_away(self, *_arguments: Any) -> None:
        """Cancels what is asked for, and takes away what is shown."""
        self.cancel()
        if self.state != HeatMapState():
            self.taken_away.emit()
            self._set(finding="", text="")

    def cancel(self) -> None:
        """Stops what is under way; what is shown stays."""
        self._queue.end()
        if self._ticket is not None:
            self._ticket.cancel()
            self._ticket = None
        if self.state.working:
            self._set(finding="", working=False, text="")

    def tick(self) -> None:
        """Looks where the request stands; for a timer of any pace."""
        self._queue.tick()

    def _arrived(self, volume: VolumeData) -> None:
        self._queue.end()
        self._ticket = None
        self._set(working=False, text=" ".join(volume.remarks) or NOT_AN_OUTLINE)
        self.ready.emit(volume)

    def _failed(self, error: BaseException) -> None:
        self._queue.end()
        self._ticket = None
        self._set(finding="", working=False, text=sentence(error))

    def _place_heard(self, place: str) -> None:
        self._set(text=f"Asking where the model looked for {self._name} ..." + (f" ({place})" if place else ""))

    def _set(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.changed.emit(state)
