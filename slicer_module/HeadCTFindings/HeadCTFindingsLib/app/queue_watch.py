"""Where one request stands in the server's queue, asked every few seconds and only while it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..core.queue_place import queue_place
from ..core.worker import Ticket, Worker
from .connection import Connection

FIRST_S, EVERY_S = 1.0, 2.0  # most predictions come from the server's store and never stand in a queue


class QueueWatch:
    """`heard(place)` gets the words of `queue_place`; `begin`, `end`, and `tick()` from a timer of any pace."""

    def __init__(self, worker: Worker, connection: Connection, heard: Callable[[str], None]) -> None:
        self._worker, self._connection, self._heard = worker, connection, heard
        self._request_id = ""
        self._due = 0.0
        self._ticket: Ticket | None = None

    def begin(self, request_id: str) -> None:
        """This request has been sent."""
        self.end()
        self._request_id, self._due = request_id, time.monotonic() + FIRST_S

    def end(self) -> None:
        """It was answered or cancelled."""
        self._request_id = ""
        if self._ticket is not None:
            self._ticket.cancel()
            self._ticket = None

    def tick(self) -> None:
        """Asks where it is due."""
        client, now = self._connection.client, time.monotonic()
        if not self._request_id or client is None or now < self._due or (self._ticket is not None and self._ticket.pending):
            return
        self._due = now + EVERY_S
        self._ticket = self._worker.submit(client.queue, self._seen, _unheard, label="The queue", lane="queue")

    def _seen(self, devices: list[dict[str, Any]]) -> None:
        place = queue_place(devices, self._request_id)
        if place and place != "running":
            self._heard(place)
        elif place:
            self._heard("")


def _unheard(_error: BaseException) -> None:
    """Without the queue's words the request waits all the same."""
