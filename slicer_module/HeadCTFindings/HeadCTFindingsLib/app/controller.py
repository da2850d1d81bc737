"""Everything behind the panels, and the threads that speak with the server; no Qt, no MRML."""

from __future__ import annotations

import time
from pathlib import Path

from ..core.worker import Worker
from .connection import REFRESH_S, Connection
from .correcting import Correcting
from .heat_maps import HeatMaps
from .learning import Learning
from .preferences import Preferences
from .reading import Reading

OUTBOX = "outbox"


class Controller:
    """Owns the worker. Whoever owns the user interface calls `poll()` often while `busy`, and `tick()` about once a second."""

    def __init__(self, preferences: Preferences, folder: Path) -> None:
        """`folder` is this person's own, for the journal and the outbox."""
        self.preferences = preferences
        self.worker = Worker()
        self.connection = Connection(self.worker, preferences)
        self.reading = Reading(self.worker, self.connection)
        self.correcting = Correcting(self.worker, self.connection, self.reading, folder)
        self.learning = Learning(self.worker, self.connection, self.reading)
        self.heat_maps = HeatMaps(self.worker, self.connection, self.reading)
        self._refreshed = 0.0

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits to be heard."""
        return self.worker.busy

    def poll(self) -> None:
        """Has the answers heard that have come."""
        self.worker.poll()

    def start(self) -> None:
        """The module is in front: connects to the server of last time, and goes on timing."""
        if self.connection.client is None and self.connection.state.phase != "connecting":
            self.connection.connect()
        if self.reading.state.study:
            self.correcting.stopwatch.touch()

    def tick(self) -> None:
        """Looks after the lease, the outbox, a running training, and the state of the server."""
        self.reading.tick()
        self.correcting.tick()
        self.learning.tick()
        self.heat_maps.tick()
        if time.monotonic() - self._refreshed >= REFRESH_S:
            self._refreshed = time.monotonic()
            self.connection.refresh()

    def leave(self) -> None:
        """The module is left: what is under way is cancelled, but for submissions, which go on."""
        self.connection.cancel()
        self.reading.cancel()
        self.heat_maps.cancel()
        self.learning.close()
        self.correcting.stopwatch.pause()

    def stop(self) -> None:
        """The end: the study is given back, the threads end, what was not sent is on the disk."""
        self.leave()
        self.correcting.close()
        self.worker.stop()
