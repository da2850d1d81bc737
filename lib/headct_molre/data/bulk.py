"""Many studies prepared in parallel, to fill the cache before a training or an evaluation."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from ..errors import HeadCTError, InvalidRequest, StudyRefused
from ..imaging.grid import SLICE_GRID, Grid
from ..imaging.pipeline import PreparedStudy
from .prepared_cache import PreparedCache, cached_prepare

PREPARATION_FAILED = "preparation_failed"  # not the study's own refusal: its process died, and may live next time

# Where a study lies: its path, or its path and the SeriesInstanceUID of the DICOM series to read.
Source = TypeVar("Source", Path, tuple[Path, str | None])


def prepare_many(
    sources: Iterable[Source], workers: int, cache: PreparedCache | None = None, grid: Grid = SLICE_GRID
) -> Iterator[tuple[Source, PreparedStudy | HeadCTError]]:
    """Prepare studies in `workers` processes; each source with its study, or with why there is none, as soon as it is done.

    One study that is refused, or that takes its process down with it, does not stop the others; the latter is reported as StudyRefused
    `preparation_failed`. At most `workers` studies are held in memory. A script that calls this needs the guard
    `if __name__ == "__main__"`, since the processes are spawned. Raises InvalidRequest for fewer than one worker.
    """
    if workers < 1:
        raise InvalidRequest("invalid_argument", "workers is the number of processes, at least 1.", field="workers")
    return _prepare_many(iter(sources), workers, cache, grid)


def _prepare_many(
    sources: Iterator[Source], workers: int, cache: PreparedCache | None, grid: Grid
) -> Iterator[tuple[Source, PreparedStudy | HeadCTError]]:
    # One pool for each worker: when a process dies, it is known whose study it held, and nobody else's is lost.
    with ExitStack() as stack:
        idle = [_pool(stack) for _ in range(workers)]
        running: dict[Future[PreparedStudy], tuple[Source, ProcessPoolExecutor]] = {}
        while True:
            while idle and (source := next(sources, None)) is not None:
                path, series_uid = (source, None) if isinstance(source, Path) else source
                pool = idle.pop()
                try:
                    future = pool.submit(cached_prepare, path, series_uid, cache, None, grid)
                except BrokenProcessPool:  # its process was killed while it had nothing to do
                    pool = _pool(stack)
                    future = pool.submit(cached_prepare, path, series_uid, cache, None, grid)
                running[future] = source, pool
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                source, pool = running.pop(future)
                outcome = _outcome(future)
                idle.append(_pool(stack) if isinstance(future.exception(), BrokenProcessPool) else pool)
                yield source, outcome


def _pool(stack: ExitStack) -> ProcessPoolExecutor:
    """A process of its own, with one thread of linear algebra: the processes are what runs in parallel."""
    context = multiprocessing.get_context("spawn")
    return stack.enter_context(ProcessPoolExecutor(1, context, initializer=_begin))


def _begin() -> None:
    """In a worker process, first. One that a killed parent leaves behind would wait for work for ever, so it ends with its parent."""
    threadpool_limits(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _outcome(future: Future[PreparedStudy]) -> PreparedStudy | HeadCTError:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, HeadCTError):
        return error
    reason = "the process died" if isinstance(error, BrokenProcessPool) else type(error).__name__
    return StudyRefused(PREPARATION_FAILED, f"The study could not be prepared ({reason}). Try it alone, or export it again.")
