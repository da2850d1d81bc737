"""What waits for one device, in the order in which it will run, and how long inferences take there.

Readers take turns: one who asked for ten studies waits behind another who asked for one. What a person waits for goes before what fills
the cache. Nothing here locks; `queue.InferenceQueue` does.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[str, Callable[[], None]], Any]

_WEIGHT = 0.2  # of the newest duration in the running mean: a change of the cohort shows after five inferences


@dataclass(eq=False)
class Ticket:
    """One request that waits for the result of a task; its answer goes into `future`."""

    request_id: str
    reader: str
    future: Future[Any] = field(default_factory=Future)
    entered: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Task:
    """One inference and the requests that it answers. Without any, it is not worth going on."""

    key: Hashable
    model: str
    work: Work
    batch: bool
    reader: str
    tickets: list[Ticket] = field(default_factory=list)
    started: float = 0.0


class DeviceQueue:
    """The waiting tasks of one device, the running one, and the mean duration of each model in seconds."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.running: Task | None = None
        self._lanes: dict[str, deque[Task]] = {}  # one for each reader, in the order of their turns
        self._batch: deque[Task] = deque()
        self._seconds: dict[str, float] = {}

    def add(self, task: Task) -> None:
        """Puts a task behind those of its reader, or behind all of its kind."""
        if task.batch:
            self._batch.append(task)
        else:
            self._lanes.setdefault(task.reader, deque()).append(task)

    def remove(self, task: Task) -> bool:
        """Takes a waiting task out; False when it does not wait here."""
        lane = self._batch if task.batch else self._lanes.get(task.reader, deque())
        if task not in lane:
            return False
        lane.remove(task)
        if not task.batch and not lane:
            del self._lanes[task.reader]
        return True

    def promote(self, task: Task, reader: str) -> None:
        """Lets a reader's request wait for what a batch was going to compute."""
        waits = self.remove(task)
        task.batch, task.reader = False, reader
        if waits:
            self.add(task)

    def next(self) -> Task | None:
        """The task whose turn it is, taken out."""
        if self._lanes:
            reader, lane = next(iter(self._lanes.items()))
            task = lane.popleft()
            del self._lanes[reader]
            if lane:
                self._lanes[reader] = lane  # behind the others
            return task
        return self._batch.popleft() if self._batch else None

    def waiting(self, batch: bool = True) -> Iterator[Task]:
        """The waiting tasks in the order in which they will run, with those of batches or without."""
        for turn in itertools.zip_longest(*self._lanes.values()):
            yield from (task for task in turn if task is not None)
        if batch:
            yield from self._batch

    def load(self, batch: bool) -> int:
        """How many inferences come before a new one."""
        return sum(1 for _ in self.waiting(batch)) + (self.running is not None)

    def note(self, model: str, seconds: float) -> None:
        """Takes a finished inference into the mean."""
        mean = self._seconds.get(model, seconds)
        self._seconds[model] = mean + _WEIGHT * (seconds - mean)

    def expected_seconds(self, model: str) -> float | None:
        """How long an inference takes here; of a model that has not run yet, as long as the others; None before the first."""
        if model in self._seconds or not self._seconds:
            return self._seconds.get(model)
        return sum(self._seconds.values()) / len(self._seconds)

    def expected_waits(self) -> tuple[list[float | None], float | None]:
        """Seconds until each waiting task starts, in order, and until a reader's new request would; None while nothing is measured."""
        until = 0.0
        if self.running is not None:
            expected = self.expected_seconds(self.running.model)
            if expected is None:
                return [None for _ in self.waiting()], None
            until = max(0.0, expected - (time.monotonic() - self.running.started))
        waits: list[float | None] = []
        fresh = until
        for task in self.waiting():
            waits.append(until)
            until += self.expected_seconds(task.model) or 0.0
            if not task.batch:
                fresh = until
        return waits, fresh
