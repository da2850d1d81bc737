"""Work in threads, answers on the caller's thread: the user interface never waits for the network.

Threads touch neither Qt nor MRML. Each lane has one thread and works in order; lanes do not wait for each other, so that a long
inference or upload never holds up a submission. Whoever owns the user interface calls `poll()` from a timer.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import Cancelled, passing

# Slicer's Python threads run only while the main thread is inside Python and lets go of the interpreter; without this a
# thread would advance by one system call for each tick of the timer.
_BREATH_S = 0.001


# Lanes that the module uses: questions that take a moment, what a job does, the network on a study, volumes, and readers' calls.
ASK, WATCH, INFER, TRANSFER, SUBMIT = "ask", "watch", "infer", "transfer", "submit"


@dataclass(frozen=True)
class Retry:
    """How often and how long apart to try again what `worth` says may pass; waits grow by `factor` up to `most_s`, half of it random."""

    attempts: int = 4
    first_s: float = 0.5
    factor: float = 2.0
    most_s: float = 20.0
    worth: Callable[[BaseException], bool] = passing

    def wait_s(self, failures: int, error: BaseException) -> float:
        """Seconds to wait after so many failures; what the server asked for counts, where it is no longer than a minute."""
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            return float(min(asked, 60.0))
        wait = min(self.first_s * self.factor ** (failures - 1), self.most_s)
        return wait * random.uniform(0.5, 1.0)


class Ticket:
    """One piece of work: the main thread cancels it, the work reports through it."""

    def __init__(self, worker: Worker, label: str, lane: str) -> None:
        self.label = label
        self.lane = lane
        self._worker = worker
        self._cancelled = threading.Event()
        self._closers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._callbacks: dict[str, Callable[[Any], None] | None] = {}

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled; then none of its callbacks runs any more."""
        return self._cancelled.is_set()

    @property
    def pending(self) -> bool:
        """Whether an answer is still to come."""
        return not self.cancelled and self._worker.holds(self)

    def cancel(self) -> None:
        """Ends the work as soon as it can; also closes the connection on which it waits."""
        with self._lock:
            self._cancelled.set()
            closers, self._closers = self._closers, []
        for close in closers:
            close()
        self._worker.forget(self)

    def report(self, value: Any) -> None:
        """Inside the work: progress for the callback; of several between two polls only the last arrives."""
        self._worker.hand_over(self, "progress", value)

    def check(self) -> None:
        """Inside the work: raises Cancelled where it was cancelled."""
        if self.cancelled:
            raise Cancelled(self.label)

    def sleep(self, seconds: float) -> None:
        """Inside the work: waits, and raises Cancelled as soon as it is cancelled."""
        if self._cancelled.wait(seconds):
            raise Cancelled(self.label)

    def on_cancel(self, close: Callable[[], None]) -> Callable[[], None]:
        """Inside the work: calls `close` on cancellation, from the main thread; the answer takes it back."""
        with self._lock:
            if not self.cancelled:
                self._closers.append(close)

                def forget() -> None:
                    with self._lock:
                        if close in self._closers:
                            self._closers.remove(close)

                return forget
        close()
        raise Cancelled(self.label)


Work = Callable[[Ticket], Any]


class Worker:
    """Lanes of threads and the queue of their answers. All methods but those of a Ticket inside its work are for the main thread."""

    def __init__(self, failed: Callable[[BaseException], None] | None = None) -> None:
        """`failed` gets the errors of work that brings no handler of its own; without one they leave `poll()`."""
        self._failed = failed
        self._condition = threading.Condition()
        self._lanes: dict[str, deque[tuple[Ticket, Work, Retry | None]]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._running: dict[str, Ticket] = {}
        self._left: list[threading.Thread] = []  # threads that still hang in work that was cancelled
        self._pending: list[Ticket] = []
        self._answers: deque[tuple[Ticket, str, Any]] = deque()
        self._stopped = False

    def submit(
        self,
        work: Work,
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
        progress: Callable[[Any], None] | None = None,
        label: str = "",
        lane: str = ASK,
        retry: Retry | None = None,
    ) -> Ticket:
        """Runs `work(ticket)` in the thread of its lane; `poll()` then calls `done(result)` or `failed(error)`.

        Raises RuntimeError after `stop`.
        """
        ticket = Ticket(self, label, lane)
        ticket._callbacks = {"done": done, "failed": failed or self._failed, "progress": progress}
        with self._condition:
            if self._stopped:
                raise RuntimeError("the worker was stopped")
            self._pending.append(ticket)
            self._lanes.setdefault(lane, deque()).append((ticket, work, retry))
            self._start(lane)
            self._condition.notify_all()
        return ticket

    def poll(self, budget_s: float = 0.015) -> int:
        """Runs the callbacks that are due and returns how many; those beyond the time budget wait for the next call.

        Raises what a callback raises, after which the others wait for the next call.
        """
        if self.busy:
            time.sleep(_BREATH_S)
        called, until = 0, time.monotonic() + budget_s
        while time.monotonic() < until or not called:
            with self._condition:
                if not self._answers:
                    break
                ticket, kind, value = self._answers.popleft()
                if kind != "progress":
                    self._pending.remove(ticket)
            called += 1
            callback = ticket._callbacks[kind]
            if callback is not None:
                callback(value)
            elif kind == "failed":
                raise value
        return called

    @property
    def busy(self) -> bool:
        """Whether anything runs, waits, or has an answer that no poll has taken yet: while it is, the timer runs."""
        with self._condition:
            return bool(self._pending)

    @property
    def labels(self) -> tuple[str, ...]:
        """What runs or waits, in order of submission."""
        with self._condition:
            return tuple(ticket.label for ticket in self._pending)

    def holds(self, ticket: Ticket) -> bool:
        """Whether an answer of this ticket is still to come."""
        with self._condition:
            return ticket in self._pending

    def cancel(self, lane: str | None = None) -> int:
        """Cancels all work, or that of one lane; returns how many tickets."""
        with self._condition:
            tickets = [ticket for ticket in self._pending if lane in (None, ticket.lane)]
        for ticket in tickets:
            ticket.cancel()
        return len(tickets)

    def stop(self, timeout: float = 2.0) -> bool:
        """Cancels everything, takes nothing new and waits for the threads; False where one has not ended in time."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self.cancel()
        deadline = time.monotonic() + timeout
        threads = [*self._threads.values(), *self._left]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def forget(self, ticket: Ticket) -> None:
        """Drops what a cancelled ticket has waiting; its lane goes on in another thread where the work cannot be ended at once.

        A look-up of a name, for one, has no time limit: whoever corrects a misspelt address should not wait for it.
        """
        with self._condition:
            if ticket in self._pending:
                self._pending.remove(ticket)
            self._answers = deque(answer for answer in self._answers if answer[0] is not ticket)
            if self._running.get(ticket.lane) is ticket:
                del self._running[ticket.lane]
                self._left = [thread for thread in self._left if thread.is_alive()]
                self._left.append(self._threads.pop(ticket.lane))
                if self._lanes[ticket.lane] and not self._stopped:
                    self._start(ticket.lane)

    def hand_over(self, ticket: Ticket, kind: str, value: Any) -> None:
        """From a thread: queues an answer; progress takes the place of progress that nobody has seen yet."""
        with self._condition:
            if ticket.cancelled:
                return
            if kind == "progress":
                self._answers = deque(each for each in self._answers if not (each[0] is ticket and each[1] == "progress"))
            self._answers.append((ticket, kind, value))

    def _start(self, lane: str) -> None:
        if lane not in self._threads:
            self._threads[lane] = threading.Thread(target=self._run, args=(lane,), name=f"HeadCT {lane}", daemon=True)
            self._threads[lane].start()

    def _run(self, lane: str) -> None:
        queue, me = self._lanes[lane], threading.current_thread()
        while True:
            with self._condition:
                while not queue and not self._stopped and self._threads.get(lane) is me:
                    self._condition.wait()
                if self._stopped or self._threads.get(lane) is not me:
                    return
                ticket, work, retry = queue.popleft()
                if ticket.cancelled:
                    continue
                self._running[lane] = ticket
            self._work(ticket, work, retry)
            with self._condition:
                if self._running.get(lane) is ticket:
                    del self._running[lane]
            del ticket, work  # with the volume that the work may hold, while this thread waits

    def _work(self, ticket: Ticket, work: Work, retry: Retry | None) -> None:
        failures = 0
        while True:
            try:
                result = work(ticket)
            except Cancelled as error:
                if not ticket.cancelled:  # somebody else took it back, and the person has to hear of it
                    self.hand_over(ticket, "failed", error)
                return
            except BaseException as error:
                failures += 1
                if retry is None or failures >= retry.attempts or not retry.worth(error):
                    self.hand_over(ticket, "failed", error)
                    return
                try:
                    ticket.sleep(retry.wait_s(failures, error))
                except Cancelled:
                    return
            else:
                self.hand_over(ticket, "done", result)
                return
