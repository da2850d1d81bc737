"""The timer without which no worker thread runs in Slicer: its Python threads get the interpreter only while Python runs here."""

from __future__ import annotations

import time
from typing import Any

import qt

from ..app.controller import Controller

BUSY_MS, IDLE_MS = 20, 200
TICK_S = 1.0


class Pump:
    """Polls the controller: often while something is under way, seldom otherwise, never after `stop`."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._ticked = 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(IDLE_MS)
        self._timer.timeout.connect(self._turn)
        self.ticking = False

    def start(self) -> None:
        """The module is in front."""
        self.ticking = True
        self._timer.start()

    def rest(self) -> None:
        """The module was left: goes on only until what was handed over has gone."""
        self.ticking = False

    def stop(self) -> None:
        """No turn any more."""
        self.ticking = False
        self._timer.stop()

    def wake(self, *_arguments: Any) -> None:
        """Something was begun: do not wait for the next slow turn."""
        if self._timer.interval != BUSY_MS:
            self._timer.setInterval(BUSY_MS)

    def _turn(self, *_arguments: Any) -> None:
        self._controller.poll()
        if self.ticking and time.monotonic() - self._ticked >= TICK_S:
            self._ticked = time.monotonic()
            self._controller.tick()
        busy = self._controller.busy
        if not busy and not self.ticking:
            self._timer.stop()
        elif self._timer.interval != (BUSY_MS if busy else IDLE_MS):
            self._timer.setInterval(BUSY_MS if busy else IDLE_MS)
