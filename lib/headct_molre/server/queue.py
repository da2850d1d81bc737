"""The inference queue: one worker thread for each device, and everybody else waits without a thread.

A request goes to the device with the shortest queue. Requests for the same result share one computation, waiting or running. A request
that nobody waits for any more is dropped; when it runs already, at its next boundary (between preparation and network). One lock guards
the queues of all devices and is never held during work, so every method returns at once and may be called on an event loop.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from ..errors import HeadCTError
from .device_queue import DeviceQueue, Task, Ticket, Work

_FIRST_GUESS_S = 5.0  # of an inference, before one has been measured
_LONGEST_RETRY_S = 600


class QueueRefused(HeadCTError):
    """The queue does not take or not keep a request (`queue_full`, `stopping`); in `retry_after_s` seconds it may."""

    status = 503

    def __init__(self, code: str, message: str, retry_after_s: int) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class InferenceCancelled(HeadCTError):
    """The request was taken back by somebody who knows its id."""

    status = 409


class _Abandoned(Exception):
    """Nobody waits for this task any more."""


class InferenceQueue:
    """Bounded queues in front of `devices`; `limit` requests wait at each, not counting what a batch adds."""

    def __init__(self, devices: Sequence[str], limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._queues = [DeviceQueue(device) for device in devices]
        self._tasks: dict[Hashable, tuple[Task, DeviceQueue]] = {}  # waiting and running, by key
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(queue,), name=f"infer {queue.device}", daemon=True) for queue in self._queues
        ]
        for thread in self._threads:
            thread.start()

    @property
    def devices(self) -> list[str]:
        """The names of the devices."""
        return [queue.device for queue in self._queues]

    @property
    def length(self) -> int:
        """How many inferences wait, over all devices."""
        with self._lock:
            return sum(len(list(queue.waiting())) for queue in self._queues)

    def submit(self, key: Hashable, model: str, work: Work, *, request_id: str, reader: str = "", batch: bool = False) -> Future[Any]:
        """Queues `work(device, boundary)`, or joins the same `key`; the future has its result or error.

        `work` calls `boundary()` where it may end early. Cancelling the future takes the request back. Raises QueueRefused `queue_full`,
        `stopping`.
        """
        ticket = Ticket(request_id, reader)
        with self._lock:
            if self._stopping:
                raise stopping()
            if key in self._tasks:
                task, queue = self._tasks[key]
                if task.batch and not batch:
                    queue.promote(task, reader)
            else:
                task, queue = Task(key, model, work, batch, reader), min(self._queues, key=lambda queue: queue.load(batch))
                if not batch and queue.load(batch=False) > self._limit:
                    raise self._full(queue, model)
                queue.add(task)
                self._tasks[key] = task, queue
                self._arrived.notify_all()
            task.tickets.append(ticket)
        ticket.future.add_done_callback(lambda future: self._leave(task, ticket) if future.cancelled() else None)
        return ticket.future

    def cancel(self, request_id: str, reader: str | None = None) -> int:
        """Takes back the requests of this id, of one reader where one is named, and answers them with InferenceCancelled; how many."""
        with self._lock:
            found = [
                (task, ticket)
                for task, _ in self._tasks.values()
                for ticket in task.tickets
                if ticket.request_id == request_id and reader in (None, ticket.reader)
            ]
            found = [(task, ticket) for task, ticket in found if self._forget(task, ticket)]
        for _, ticket in found:
            _answer(ticket, InferenceCancelled("cancelled", "The inference was cancelled. Ask again if it is still wanted."))
        return len(found)

    def status(self) -> list[dict[str, Any]]:
        """[{device, running, waiting, expected_wait_s}]: requests by id, and the seconds before a reader's new request would start.

        running [{request_id, model, seconds}] holds all that share the one inference; waiting [{request_id, model, position, waited_s,
        expected_wait_s}] in order. Expected waits are null before the first inference has been measured. No study is named.
        """
        with self._lock:
            return [_status(queue) for queue in self._queues]

    def stop(self) -> None:
        """Takes no new request and hands back those that wait, with 503 `stopping`; a running inference goes on."""
        with self._lock:
            self._stopping = True
            tickets = [ticket for queue in self._queues for task in list(queue.waiting()) for ticket in self._drop(task)]
            self._arrived.notify_all()
        for ticket in tickets:
            _answer(ticket, stopping())

    def join(self, seconds: float) -> bool:
        """After `stop`: waits for what runs. What runs longer is handed back too, and ends at its boundary; False then."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            return True
        with self._lock:
            tickets = [ticket for task, _ in list(self._tasks.values()) for ticket in self._drop(task)]
        for ticket in tickets:
            _answer(ticket, stopping())
        return False

    def _work(self, queue: DeviceQueue) -> None:
        while True:
            with self._lock:
                while (task := queue.next()) is None:
                    if self._stopping:
                        return
                    self._arrived.wait()
                queue.running, task.started = task, time.monotonic()
            self._run(queue, task)
            del task  # with the images that it holds, while this thread waits

    def _run(self, queue: DeviceQueue, task: Task) -> None:
        """Whatever a task raises, its requests get an answer and the thread goes on."""
        outcome: Any
        try:
            outcome = task.work(queue.device, partial(self._boundary, task))
        except Exception as error:
            outcome = error
        except BaseException as error:
            outcome = RuntimeError(f"an inference tried to end its thread by {type(error).__name__}")
        with self._lock:
            if not isinstance(outcome, BaseException):
                queue.note(task.model, time.monotonic() - task.started)
            queue.running = None
            tickets = self._drop(task)
        for ticket in tickets:
            _answer(ticket, outcome)

    def _boundary(self, task: Task) -> None:
        with self._lock:
            if not task.tickets:
                self._drop(task)  # in the same moment, so that nobody joins what has ended
                raise _Abandoned

    def _leave(self, task: Task, ticket: Ticket) -> None:
        with self._lock:
            self._forget(task, ticket)

    def _forget(self, task: Task, ticket: Ticket) -> bool:
        """Takes one request from its task, and the task from its queue when it was the last; False when it was answered meanwhile."""
        if ticket not in task.tickets:
            return False
        task.tickets.remove(ticket)
        held = self._tasks.get(task.key)
        # One that runs already stays known until its boundary: the same request may come again and save it.
        if not task.tickets and held is not None and held[0] is task and held[1].remove(task):
            del self._tasks[task.key]
        return True

    def _drop(self, task: Task) -> list[Ticket]:
        """Forgets a task; returns the requests that now are this caller's to answer."""
        held = self._tasks.get(task.key)
        if held is not None and held[0] is task:
            held[1].remove(task)
            del self._tasks[task.key]
        tickets, task.tickets = task.tickets, []
        return tickets

    def _full(self, queue: DeviceQueue, model: str) -> QueueRefused:
        """With the time after which half of the queue will have been worked off."""
        _, wait = queue.expected_waits()
        seconds = (queue.load(batch=False) * _FIRST_GUESS_S if wait is None else wait) / 2
        retry = min(max(1, math.ceil(seconds)), _LONGEST_RETRY_S)
        message = f"{queue.load(batch=False)} inferences run or wait already. Ask again in {retry} s."
        return QueueRefused("queue_full", message, retry)


def stopping() -> QueueRefused:
    """The answer of a server that stops."""
    return QueueRefused("stopping", "The server is stopping. Ask again when it runs.", 30)


def _status(queue: DeviceQueue) -> dict[str, Any]:
    now = time.monotonic()
    waits, fresh = queue.expected_waits()
    running = [] if queue.running is None else [(ticket, queue.running) for ticket in queue.running.tickets]
    return {
        "device": queue.device,
        "running": [
            {"request_id": ticket.request_id, "model": task.model, "seconds": round(now - task.started, 3)} for ticket, task in running
        ],
        "waiting": [
            {
                "request_id": ticket.request_id,
                "model": task.model,
                "position": position,
                "waited_s": round(now - ticket.entered, 3),
                "expected_wait_s": None if wait is None else round(wait, 1),
            }
            for position, (task, wait) in enumerate(zip(queue.waiting(), waits, strict=True), start=1)
            for ticket in task.tickets
        ],
        "expected_wait_s": None if fresh is None else round(fresh, 1),
    }


def _answer(ticket: Ticket, outcome: Any) -> None:
    # A client that left a moment ago has cancelled the future.
    if not ticket.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, BaseException):
        ticket.future.set_exception(outcome)
    else:
        ticket.future.set_result(outcome)
