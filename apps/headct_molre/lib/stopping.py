"""A stop that loses nothing: what waits is handed back at once, what runs may end, jobs are marked as interrupted.

uvicorn answers SIGTERM by waiting for all open requests before it ends the application, so the application would learn of the stop only
when the whole queue had been worked off. Therefore the signal is heard here first and then passed on.
"""

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from headct_molre.server.queue import InferenceQueue

logger = logging.getLogger("headct_molre.server")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Runner(Protocol):
    """A thread that runs jobs."""

    def stop(self) -> None: ...

    def join(self, seconds: float) -> None: ...


class GracefulStop:
    """Ends the queue and the jobs within `seconds` of the first signal."""

    def __init__(self, queue: InferenceQueue, runners: Sequence[Runner], seconds: float) -> None:
        self._queue, self._runners, self._seconds = queue, runners, seconds
        self._stop: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listens for signals, and passes them on to whoever listened before."""
        if threading.current_thread() is not threading.main_thread():
            yield  # an application inside a test: there are no signals
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def heard(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._begin)
            handler: Any = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in _SIGNALS:
            signal.signal(number, heard)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def finished(self) -> None:
        """Waits for the stop, and begins it where no signal did."""
        self._begin()
        assert self._stop is not None
        await self._stop

    def _begin(self) -> None:
        if self._stop is None:
            self._queue.stop()
            for runner in self._runners:
                runner.stop()
            self._stop = asyncio.create_task(run_in_threadpool(self._wait))

    def _wait(self) -> None:
        began = time.monotonic()
        if not self._queue.join(self._seconds):
            logger.warning("an inference ran longer than stop_s = %g and was handed back", self._seconds)
        for runner in self._runners:
            runner.join(max(1.0, self._seconds - (time.monotonic() - began)))
