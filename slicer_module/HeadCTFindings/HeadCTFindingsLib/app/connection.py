"""The server as the module knows it: where, whether it answers, what it can do, and as whom we talk to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.catalogue import Catalogue
from ..core.client import Client
from ..core.connection import Address, ModelState, Status, check_connection, normalised
from ..core.errors import Unreachable, sentence
from ..core.worker import Ticket, Worker
from ..ui.signal import Signal
from .preferences import Preferences

REFRESH_S = 15.0  # between two looks at the queue and the health of the server


@dataclass(frozen=True)
class ConnectionState:
    """`phase` is "unknown", "connecting", "connected" or "failed"; then `step`, `problem` and `remedy` say where it ended and what to do.

    `lost` is whether the server answered before and does not now, or not to this token any more (step "token"): work goes on, and what is
    submitted waits.
    """

    phase: str = "unknown"
    address: str = ""
    status: Status | None = None
    model: ModelState | None = None
    step: str = ""
    problem: str = ""
    remedy: str = ""
    lost: bool = False


class Connection:
    """Emits `changed(state)`, `connected()` once it and its findings are known, `left()` before another server or person comes."""

    def __init__(self, worker: Worker, preferences: Preferences) -> None:
        self.changed = Signal("the ConnectionState")
        self.connected = Signal("the server answers and its findings are known")
        self.left = Signal("another server or another person's token: what is open belongs to the one before")
        self.preferences = preferences
        self.state = ConnectionState(address=preferences["server"])
        self.client: Client | None = None
        self.catalogue: Catalogue | None = None
        self._worker = worker
        self._ticket: Ticket | None = None
        self._known: tuple[Address, str] | None = None  # the last server, and whose token it was

    @property
    def reader(self) -> str:
        """Whose calls these are: the token's reader, or the name that was given."""
        status = self.state.status
        return status.reader if status is not None and status.reader else self.preferences.reader

    @property
    def model(self) -> str:
        """The model that predicts, empty where none can."""
        return self.state.model.name if self.state.model is not None else ""

    def connect(self, address: str | None = None, token: str | None = None) -> None:
        """Walks the steps to a server; without arguments to the one of last time."""
        self.cancel()
        typed = self.preferences["server"] if address is None else address
        token = self.preferences["token"] if token is None else token.strip()
        try:
            known = normalised(typed)
            client = Client(known, token, self.preferences["certificate"])
        except Unreachable as error:
            self._fail(error)
            return
        if self.client is not None and self.client.address != known:
            self.left.emit()
            self._known = None
        self.client = None
        self.preferences["server"], self.preferences["token"] = known.base, token
        self._set(ConnectionState("connecting", known.base))

        def walk(ticket: Ticket) -> tuple[Client, Status, Catalogue]:
            return client, check_connection(client, ticket), Catalogue.from_json(client.findings(ticket))

        self._ticket = self._worker.submit(walk, self._walked, self._fail, label="Connecting", lane="status")

    def refresh(self) -> None:
        """Looks again at queue and health, quietly; a server that went away is told apart from one that never answered."""
        client = self.client
        if client is None or (self._ticket is not None and self._ticket.pending):
            return
        self._ticket = self._worker.submit(
            lambda ticket: check_connection(client, ticket), self._refreshed, self._lost, label="Looking at the server", lane="status"
        )

    def cancel(self) -> None:
        """Ends an attempt to connect."""
        if self._ticket is not None:
            self._ticket.cancel()
            self._ticket = None
        if self.state.phase == "connecting":
            self._set(ConnectionState(address=self.state.address))

    def name_reader(self, name: str) -> None:
        """The name under which calls are stored, where no token says it."""
        self.preferences["reader"] = name.strip()

    def choose_model(self, name: str) -> None:
        """Which model predicts from now on."""
        self.preferences["model"] = name
        if self.state.status is not None:
            self._set(replace(self.state, model=_chosen(self.state.status, name)))

    def _walked(self, found: tuple[Client, Status, Catalogue]) -> None:
        client, status, self.catalogue = found
        if self._known is not None and self._known != (client.address, status.reader):
            self.left.emit()
        self.client, self._known = client, (client.address, status.reader)
        self._show(status)
        self.connected.emit()

    def _refreshed(self, status: Status) -> None:
        was_lost = self.state.lost
        self._show(status)
        if was_lost:
            self.connected.emit()

    def _show(self, status: Status) -> None:
        self._set(ConnectionState("connected", status.address.base, status, _chosen(status, self.preferences["model"])))

    def _fail(self, error: BaseException) -> None:
        self._set(ConnectionState("failed", self.state.address, **_reason(error, "address")))

    def _lost(self, error: BaseException) -> None:
        self._set(replace(self.state, lost=True, **_reason(error, "http")))

    def _set(self, state: ConnectionState) -> None:
        if state != self.state:
            self.state = state
            self.changed.emit(state)


def _reason(error: BaseException, step: str) -> dict[str, str]:
    """Step, problem and remedy; `step` where the error knows none."""
    if isinstance(error, Unreachable):
        return {"step": error.step, "problem": error.message, "remedy": error.remedy}
    return {"step": step, "problem": sentence(error), "remedy": ""}


def _chosen(status: Status, wanted: str) -> ModelState | None:
    """The wanted model where it can be used, else the first one that can."""
    able = [model for model in status.models if model.available]
    return next((model for model in able if model.name == wanted), able[0] if able else None)
