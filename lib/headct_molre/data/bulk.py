"""Many studies prepared in parallel, to fill the cache before a training or an evaluation."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path

from threadpoolctl import threadpool_limits

from ..errors import HeadCTError, InvalidRequest, StudyRefused
from ..imaging.pipeline import PreparedStudy
from .prepared_cache import PreparedCache, cached_prepare


def prepare_many(
    paths: Iterable[Path], workers: int, cache: PreparedCache | None = None
) -> Iterator[tuple[Path, PreparedStudy | HeadCTError]]:
    """Prepare studies in `workers` processes; each path with its study, or with why there is none, as soon as it is done.

    One study that is refused, or that takes its process down with it, does not stop the others; the latter is reported as StudyRefused
    `preparation_failed`. At most `workers` studies are held in memory. A script that calls this needs the guard
    `if __name__ == "__main__"`, since the processes are spawned. Raises InvalidRequest for fewer than one worker.
    """
    if workers < 1:
        raise InvalidRequest("invalid_argument", "workers is the number of processes, at least 1.", field="workers")
    return _prepare_many(iter(paths), workers, cache)


def _prepare_many(paths: Iterator[Path], workers: int, cache: PreparedCache | None) -> Iterator[tuple[Path, PreparedStudy | HeadCTError]]:
    # One pool for each worker: when a process dies, it is known whose study it held, and nobody else's is lost.
    with ExitStack() as stack:
        idle = [_pool(stack) for _ in range(workers)]
        running: dict[Future[PreparedStudy], tuple[Path, ProcessPoolExecutor]] = {}
        while True:
            while idle and (path := next(paths, None)) is not None:
                pool = idle.pop()
                try:
                    future = pool.submit(cached_prepare, path, None, cache)
                except BrokenProcessPool:  # its process was killed while it had nothing to do
                    pool = _pool(stack)
                    future = pool.submit(cached_prepare, path, None, cache)
                running[future] = path, pool
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path, pool = running.pop(future)
                outcome = _outcome(future)
                idle.append(_pool(stack) if isinstance(future.exception(), BrokenProcessPool) else pool)
                yield path, outcome


def _pool(stack: ExitStack) -> ProcessPoolExecutor:
    """A process of its own, with one thread of linear algebra: the processes are what runs in parallel."""
    context = multiprocessing.get_context("spawn")
    return stack.enter_context(ProcessPoolExecutor(1, context, initializer=threadpool_limits, initargs=(1,)))


def _outcome(future: Future[PreparedStudy]) -> PreparedStudy | HeadCTError:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, HeadCTError):
        return error
    reason = "the process died" if isinstance(error, BrokenProcessPool) else type(error).__name__
    return StudyRefused("preparation_failed", f"The study could not be prepared ({reason}). Try it alone, or export it again.")
