"""A person at the panel: clicks where a person would, and counts the clicks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import qt

from harness import events
from harness.event_loop import process, wait_until
from harness.latency import LatencyProbe
from harness.pictures import screenshot

CALL_COLUMN = 2
BLOCKED_MS = 1000.0
STATES = ("present", "uncertain", "absent")


class Radiologist:
    """Works on the loaded module; `clicks` and `typed` count what it took, `probe` how long the window made it wait."""

    def __init__(self, module: Any, slicer: Any, pictures: Path) -> None:
        self.module, self._sits = module, True
        self.bench, self.slicer, self.pictures = module.widget.workbench, slicer, pictures
        self.app, self.panels = self.bench.controller, self.bench.panels
        self.clicks = self.typed = 0
        self.probe = LatencyProbe()
        self._taken = 0

    @property
    def state(self) -> Any:
        """What the study panel knows."""
        return self.app.reading.state

    def press(self, button: Any) -> None:
        """Clicks a button, which has to be there to be clicked."""
        process(0.05)  # a section that was just opened has to lay itself out
        assert button.isVisible(), f"{button.text} is hidden"
        assert button.enabled, f"{button.text} is disabled"
        self.clicks += 1
        with self.probe:
            events.click(button)

    def call(self, key: str, state: str) -> None:
        """Clicks a state in the row of a finding."""
        table = self.panels.findings.table
        row = table.findings.index_of(key)
        table.scrollTo(row)
        cell = table.visualRect(row.sibling(row.row(), CALL_COLUMN))
        part = STATES.index(state)
        self.clicks += 1
        with self.probe:
            events.click(table.viewport(), (cell.left() + cell.width() * (2 * part + 1) // 6, cell.center().y()))

    def choose_row(self, key: str) -> None:
        """Clicks on a finding's name."""
        table = self.panels.findings.table
        row = table.findings.index_of(key)
        table.scrollTo(row)
        self.clicks += 1
        with self.probe:
            events.click(table.viewport(), (table.visualRect(row).left() + 20, table.visualRect(row).center().y()))

    def type(self, widget: Any, text: str) -> None:
        """Types a text."""
        self.typed += len(text)
        widget.setFocus()
        with self.probe:
            events.type_text(widget, text)

    def wait(self, ready: Any, what: str, seconds: float = 60.0) -> float:
        """Waits as a person does, while the window goes on working; how long it took."""
        with self.probe:
            return float(wait_until(ready, seconds, what))

    def read_next(self) -> str:
        """Next study; its id, once images and prediction are there."""
        before = self.state.study
        self.press(self.panels.study.next_button)
        self.wait(lambda: self.state.study != before and self.read, "the next study")
        return str(self.state.study)

    def open(self, study: str) -> str:
        """A study by its id."""
        self.type(self.panels.study.study_id, study)
        self.press(self.panels.study.open_button)
        self.wait(lambda: self.state.study == study and self.read, "the study")
        return study

    @property
    def read(self) -> bool:
        """Whether images and prediction of the open study are there."""
        return self.state.prediction is not None and self.bench.volume is not None

    def stand_up(self) -> None:
        """The module is closed, as Slicer does at its end; twice is harmless."""
        if self._sits:
            self._sits = False
            self.module.close()

    def look_at(self, widget: Any) -> None:
        """Scrolls the panel to a part of it."""
        above = widget.parent()
        while not isinstance(above, qt.QScrollArea):
            above = above.parent()
        above.ensureWidgetVisible(widget)
        process(0)

    def picture(self, name: str, widget: Any = None) -> Path:
        """A stamped picture of the window."""
        self._taken += 1
        return screenshot(widget or self.slicer.app.window(), self.pictures / f"{self._taken:02d}_{name}.png")

    def never_waited(self, p99_ms: float, longest_ms: float) -> None:
        """The window answered in time all along: clicks, keys and waits, not the pictures taken between them.

        Where other work fills the machine, both limits are given as many times as long; what was measured and what was allowed is printed.
        The window's own work at a time has to stay below the longer limit on any machine. A single wait says little where other programs
        take the processor in between, so it fails only where it is as long as a call that blocks.
        """
        crowded = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        allowed = f"allowed {p99_ms * crowded:.0f} and {longest_ms * crowded:.0f} ms ({p99_ms:g} and {longest_ms:g} times {crowded:.1f})"
        report = f"{self.probe.report()}; {allowed}"
        print(report)
        assert max(self.probe.work_ms) < longest_ms, report
        assert self.probe.percentile(99) < p99_ms * crowded, report
        assert self.probe.percentile(100) < BLOCKED_MS * crowded, report
