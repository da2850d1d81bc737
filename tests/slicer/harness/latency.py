"""How long the event loop keeps a 10 ms timer waiting: what a person feels as freezing."""

from __future__ import annotations

import time
from typing import Any

from .qt_module import install as install_qt

qt = install_qt()
PERIOD_MS = 10


class LatencyProbe:
    """Records by how many milliseconds each tick of a 10 ms timer came late; a context manager around the story, also inside itself."""

    def __init__(self) -> None:
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._last = 0.0
        self._worked = 0.0
        self._depth = 0
        self.late_ms: list[float] = []
        self.work_ms: list[
            float
        ] = []  # of the processor, by this thread, between two ticks: what is late for any other reason is not in it

    def _tick(self, *_: Any) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.late_ms.append(max(0.0, (now - self._last) * 1000 - PERIOD_MS))
        self.work_ms.append((worked - self._worked) * 1000)
        self._last, self._worked = now, worked

    def __enter__(self) -> LatencyProbe:
        self._depth += 1
        if self._depth == 1:
            self._last, self._worked = time.perf_counter(), time.thread_time()
            self._timer.start(PERIOD_MS)
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        self._timer.stop()
        if time.perf_counter() - self._last > PERIOD_MS / 1000:
            self._tick()

    def percentile(self, percent: float) -> float:
        """Milliseconds late at a percentile, e.g. 99; 100 is the longest. Raises ValueError without a tick."""
        if not self.late_ms:
            raise ValueError("no tick was recorded")
        ordered = sorted(self.late_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def report(self) -> str:
        """One line for a test's message or a benchmark."""
        late = f"99th percentile {self.percentile(99):.1f} ms, longest {self.percentile(100):.1f} ms late"
        return f"{len(self.late_ms)} ticks, {late}, at most {max(self.work_ms):.1f} ms of work at a time"
