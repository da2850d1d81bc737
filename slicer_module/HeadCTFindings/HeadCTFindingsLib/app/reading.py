"""The study on the screen: how it came there, its images, its prediction, and what stands in the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.client import new_request_id
from ..core.errors import ServerError, sentence
from ..core.prediction import PredictionView
from ..core.worker import Retry, Ticket, Worker
from ..ui.signal import Signal
from .connection import Connection, ConnectionState
from .queue_watch import QueueWatch
from .transfers import fetch_volume, send_volume
from .volume_file import VolumeData

LEASE_RENEWAL_S = 600.0  # the server's default lease lasts three times as long
NONE_LEFT = "No study is left for you to read."


@dataclass(frozen=True)
class Refusal:
    """Why there are no results; `by_gate` where the server judged the images, and not a step on the way."""

    message: str
    by_gate: bool


@dataclass(frozen=True)
class ReadingState:
    """What the study panel shows. `stages` names what is under way, each with the share that is done, None where nobody knows."""

    connected: bool = False
    strategies: tuple[str, ...] = ()
    study: str = ""
    why: str = ""
    others: tuple[str, ...] = ()
    stages: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    asks_consent: bool = False
    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()
    note: str = ""
    prediction: PredictionView | None = None

    @property
    def working(self) -> bool:
        """Whether anything is under way."""
        return bool(self.stages)

    @property
    def stage(self) -> str:
        """What is under way."""
        return " · ".join(text for text, _share in self.stages.values())

    @property
    def share(self) -> float | None:
        """How far the first of it is that can tell."""
        return next((share for _text, share in self.stages.values() if share is not None), None)


class Reading:
    """Emits `changed(state)`, `opened(study)`, `images(study, VolumeData)`, `sent(study, node_id)` and `predicted(PredictionView)`."""

    def __init__(self, worker: Worker, connection: Connection) -> None:
        self.changed = Signal("the ReadingState")
        self.opened = Signal("id of the study that is read now, empty for none")
        self.images = Signal("study and its images as they came from the server")
        self.sent = Signal("study that a volume of the scene is now, and the id of its node")
        self.predicted = Signal("the PredictionView of the open study")
        self.state = ReadingState()
        self.finished = False  # the open study was submitted: its lease has ended
        self._worker, self._connection = worker, connection
        self._tickets: dict[str, Ticket] = {}
        self._volume: tuple[VolumeData, str] | None = None
        self._renewed = 0.0
        self._queue = QueueWatch(worker, connection, self._place_heard)
        connection.changed.connect(self._connection_changed)
        connection.left.connect(self._server_left)

    @property
    def preferences(self) -> Any:
        """Where the strategy is remembered."""
        return self._connection.preferences

    @property
    def server(self) -> str:
        """The server's address, for the question whether a volume may go there."""
        return self._connection.state.address

    @property
    def open_to_listeners(self) -> bool:
        """Whether what is sent goes over a network without encryption."""
        client = self._connection.client
        return client is not None and not (client.address.secure or client.address.local)

    def choose_strategy(self, name: str) -> None:
        """How the server chooses from now on."""
        if name:
            self.preferences["strategy"] = name

    def next_study(self) -> None:
        """Asks for a study; another one than the open one, unless that was submitted and is off the list anyway."""
        client, reader = self._connection.client, self._connection.reader
        if client is None:
            return
        another = bool(self.state.study) and not self.finished
        strategy = self._strategy()
        self._begin(
            "study", "Asking for the next study", lambda ticket: client.next_study(strategy, reader, another, ticket), self._offered
        )

    def open_study(self, study: str, fetch: bool = True) -> None:
        """Opens a study by its id; without `fetch` its images are in the scene already."""
        client, reader = self._connection.client, self._connection.reader
        if client is None:
            return

        def opened(lease: dict[str, Any]) -> None:
            others = tuple(str(each["reader"]) for each in lease["others"])
            self._open(study, "", others, fetch)

        self._begin("study", f"Opening {study}", lambda ticket: client.lease(study, reader, ticket), opened)

    def open_volume(self, volume: VolumeData, node_id: str) -> None:
        """Has a volume of the scene read; asks for consent first where this server was never sent one. `sent` names the node again."""
        client = self._connection.client
        if client is None:
            return
        self._volume = volume, node_id
        if self.preferences.consented(client.address):
            self._send()
        else:
            self._set(asks_consent=True, refusal=None, note="")

    def allow_upload(self) -> None:
        """The reader agreed: remembered for this server."""
        client = self._connection.client
        if client is not None:
            self.preferences.consent(client.address)
            self._set(asks_consent=False)
            self._send()

    def refuse_upload(self) -> None:
        """Nothing is sent."""
        self._volume = None
        self._set(asks_consent=False, note="Nothing was sent.")

    def refuse(self, refusal: Refusal) -> None:
        """Shows why something cannot be read that never got as far as the server."""
        self._set(refusal=refusal)

    def skip(self, reason: str) -> None:
        """Not to be offered this study again; goes on with the next one."""
        client, reader, study = self._connection.client, self._connection.reader, self.state.study
        if client is None or not study:
            return

        def skipped(_state: Any) -> None:
            self.close()
            self.next_study()

        self._begin("study", f"Skipping {study}", lambda ticket: client.skip(study, reason, reader, ticket), skipped)

    def predict(self) -> None:
        """Asks for the prediction of the open study, again where the served version may have changed."""
        client, study, model = self._connection.client, self.state.study, self._connection.model
        if client is None or not study:
            return
        if not model:
            self._set(refusal=Refusal("No model of this server can be used; see the section Server.", False))
            return

        request_id = new_request_id()

        def work(ticket: Ticket) -> PredictionView:
            return PredictionView.from_json(client.infer(model, study=study, ticket=ticket, request_id=request_id))

        self._begin("prediction", f"{model} reads the study", work, self._predicted, gate=True)
        self._queue.begin(request_id)

    def cancel(self) -> None:
        """Stops what is under way; what is on the screen stays."""
        for ticket in self._tickets.values():
            ticket.cancel()
        self._tickets.clear()
        self._queue.end()
        self._set(stages={}, asks_consent=False)

    def close(self, release: bool = False) -> None:
        """No study is open any more; `release` gives it back to the others."""
        self.cancel()
        client, reader, study = self._connection.client, self._connection.reader, self.state.study
        if release and study and client is not None and not self.finished:
            self._worker.submit(lambda ticket: client.release(study, reader, ticket), failed=_unheard, label="Closing", lane="status")
        self._volume = None
        self._set(study="", why="", others=(), refusal=None, warnings=(), note="", prediction=None)
        self.opened.emit("")

    def tick(self) -> None:
        """Keeps the study open at the server while it is open here, and looks where its prediction stands; for a timer of any pace."""
        self._queue.tick()
        client, reader, study = self._connection.client, self._connection.reader, self.state.study
        if client is None or not study or self.finished or time.monotonic() - self._renewed < LEASE_RENEWAL_S:
            return
        self._renewed = time.monotonic()
        self._worker.submit(lambda ticket: client.lease(study, reader, ticket), failed=_unheard, label="Keeping it open", lane="status")

    def _strategy(self) -> str:
        wanted, there = self.preferences["strategy"], self.state.strategies
        return wanted if wanted in there or not there else there[0]

    def _offered(self, offer: dict[str, Any] | None) -> None:
        if not offer:
            self._set(note=NONE_LEFT)
            return
        self._open(str(offer["id"]), str(offer.get("why") or ""), (), fetch=True)

    def _open(self, study: str, why: str, others: tuple[str, ...], fetch: bool) -> None:
        self.finished, self._renewed = False, time.monotonic()
        self._set(study=study, why=why, others=others, refusal=None, warnings=(), note="", prediction=None)
        self.opened.emit(study)
        client = self._connection.client
        if fetch and client is not None:
            self._begin(
                "images",
                "Fetching the images",
                lambda ticket: fetch_volume(client, study, ticket),
                lambda volume: self.images.emit(study, volume),
            )
        self.predict()

    def _send(self) -> None:
        client = self._connection.client
        if client is None or self._volume is None:
            return
        (volume, node_id), self._volume = self._volume, None

        def sent(study: str) -> None:
            self._open(study, "", (), fetch=False)
            self.sent.emit(study, node_id)

        self._begin("study", "Sending the volume", lambda ticket: send_volume(client, volume, ticket), sent)

    def _predicted(self, view: PredictionView) -> None:
        self._set(prediction=view, warnings=tuple(remark.message for remark in view.warnings))
        self.predicted.emit(view)

    def _begin(self, name: str, text: str, work: Callable[[Ticket], Any], done: Callable[[Any], None], gate: bool = False) -> None:
        """Puts work into its own lane, in place of what ran there, and shows how far it is."""
        if name in self._tickets:
            self._tickets.pop(name).cancel()

        def ended() -> None:
            self._tickets.pop(name, None)
            if name == "prediction":
                self._queue.end()
            self._set(stages={other: shown for other, shown in self.state.stages.items() if other != name})

        def succeeded(result: Any) -> None:
            ended()
            done(result)

        def failed(error: BaseException) -> None:
            ended()
            self._set(refusal=Refusal(sentence(error), gate and isinstance(error, ServerError) and error.status == 422))

        def progress(value: Any) -> None:
            share = getattr(value, "share", None)
            self._set(stages={**self.state.stages, name: (text, share)})

        self._set(stages={**self.state.stages, name: (text, None)}, refusal=None, note="")
        self._tickets[name] = self._worker.submit(work, succeeded, failed, progress, label=text, lane=name, retry=Retry())

    def _place_heard(self, place: str) -> None:
        text = f"{self._connection.model} reads the study" + (f" ({place})" if place else "")
        self._set(stages={**self.state.stages, "prediction": (text, None)})

    def _server_left(self) -> None:
        self.close(release=True)

    def _connection_changed(self, state: ConnectionState) -> None:
        strategies = state.status.strategies if state.status is not None else ()
        self._set(connected=state.phase == "connected" and not state.lost, strategies=strategies)

    def _set(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.changed.emit(state)


def _unheard(_error: BaseException) -> None:
    """A lease that could not be renewed or given back runs out by itself; nobody has to hear of it."""
