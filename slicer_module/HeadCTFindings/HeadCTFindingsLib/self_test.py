"""A short walk through the module inside Slicer itself: connect, next study, one call, submit. See slicer_module/README.md."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import slicer

SERVER = "HEADCT_SERVER"
WAIT_S = 120.0


def walk(test: Any) -> None:
    """Opens the module and, where the environment names a server, reads one study; raises AssertionError where a step fails."""
    slicer.util.selectModule("HeadCTFindings")
    workbench = slicer.util.getModuleWidget("HeadCTFindings").workbench
    test.delayDisplay("The panel is there.")
    server = os.environ.get(SERVER)
    if not server:
        test.delayDisplay(f"{SERVER} names no server: the panel alone was tested.")
        return
    app = workbench.controller
    app.connection.connect(server)
    _wait(lambda: app.connection.state.phase == "connected", "the connection")
    app.reading.next_study()
    _wait(lambda: app.reading.state.prediction is not None and workbench.volume is not None, "images and prediction")
    view = app.reading.state.prediction
    best = max(view.keys, key=lambda key: view.probability[view.index(key)])
    workbench.panels.findings.select(best)
    test.delayDisplay(f"Study {view.study} was read by {view.title}.")
    app.correcting.calls.set(best, "present")
    app.correcting.submit()
    _wait(lambda: app.correcting.state.waiting == 0 and app.reading.finished, "the submission")
    test.delayDisplay("The server has the submission.")


def _wait(ready: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < until, f"{what} did not come"
        slicer.app.processEvents()
        time.sleep(0.01)
