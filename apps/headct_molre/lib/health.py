"""Whether the server can work, as a list of reasons why not. Each part of it adds a check of its own:

    @health_check
    def my_part(app) -> Reason | None: ...

Checks run one after the other in a thread, at most once a second, so each must be quick; one that hangs, as on a network folder
that went away, is itself a reason.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headct_molre.data.store.probe import check_store
from headct_molre.errors import HeadCTError
from headct_molre.server.config import server_config
from lib.logs import failure

logger = logging.getLogger("headct_molre.server")

Status = Literal["starting", "ready", "degraded", "unavailable", "stopping"]

KEEP_S = 1.0
PATIENCE_S = 2.0


@dataclass(frozen=True)
class Reason:
    """Why the server is not well; `blocking` where it cannot do its work until that is mended."""

    code: str
    message: str
    blocking: bool = False


Check = Callable[[Any], Reason | None]
CHECKS: list[Check] = []


def health_check(check: Check) -> Check:
    """Adds a check. It gets the HeadCTApp; what it raises as HeadCTError is a blocking reason."""
    CHECKS.append(check)
    return check


class Health:
    """The state of this server, from its start to its end."""

    def __init__(self, checks: list[Check] = CHECKS) -> None:
        self._checks = checks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._running: Future[list[Reason]] | None = None
        self._reasons: list[Reason] = []
        self._at = float("-inf")
        self.phase: Literal["starting", "running", "stopping"] = "starting"

    async def reasons(self, app: Any) -> list[Reason]:
        """What is wrong now, or was a second ago."""
        if time.monotonic() - self._at < KEEP_S:
            return self._reasons
        if self._running is None:
            self._running = self._thread.submit(self._run, app)
        await asyncio.wait([asyncio.wrap_future(self._running)], timeout=PATIENCE_S)
        if not self._running or not self._running.done():
            return [Reason("check_hangs", "A disk or a database does not answer.", blocking=True)]
        self._reasons, self._running, self._at = self._running.result(), None, time.monotonic()
        return self._reasons

    def status(self, reasons: list[Reason]) -> Status:
        """One word for all reasons."""
        if self.phase != "running":
            return self.phase
        if any(reason.blocking for reason in reasons):
            return "unavailable"
        return "degraded" if reasons else "ready"

    def _run(self, app: Any) -> list[Reason]:
        return [reason for check in self._checks if (reason := _result(check, app)) is not None]


HEALTH = Health()


def _result(check: Check, app: Any) -> Reason | None:
    try:
        return check(app)
    except HeadCTError as error:
        return Reason(error.code, error.message, blocking=True)
    except Exception as error:  # health must answer above all when something is wrong that nobody thought of
        failure(logger, f"the health check {check.__name__} failed", error)
        return Reason("check_failed", f"The check {check.__name__} failed with {type(error).__name__}.", blocking=True)


@health_check
def store(app: Any) -> Reason | None:
    """Readable, and writable now."""
    check_store(app.store.database.url)
    return None


@health_check
def studies_folder(app: Any) -> Reason | None:
    """There, and readable."""
    try:
        next(Path(app.studies).iterdir(), None)
    except OSError as error:
        return Reason("studies_unreadable", f"The studies folder cannot be read: {error.strerror}.", blocking=True)
    return None


@health_check
def registry(app: Any) -> Reason | None:
    """In step with the studies folder."""
    problem = next(iter(app.datastore().folder.problems()), None)
    return None if problem is None else Reason(problem.code, problem.message)


@health_check
def queue(app: Any) -> Reason | None:
    """Room for one more inference."""
    limit = server_config().waiting_inferences * len(app.queue.devices)
    if limit and app.queue.length >= limit:
        return Reason("queue_full", "As many inferences wait as may; new ones are refused with 503 for now.")
    return None


@health_check
def disk(app: Any) -> Reason | None:
    """Room for uploads and submissions."""
    free_mb = shutil.disk_usage(app.studies).free // 1_000_000
    if free_mb < server_config().free_disk_mb:
        return Reason("disk_low", f"The disk of the studies folder has {free_mb} MB left; uploads are refused. Free some space.")
    return None


@health_check
def models(app: Any) -> Reason | None:
    """Every model that was asked for has a version to serve."""
    missing = [name for name, task in app.infer_tasks().items() if task.card()[0] is None]
    if missing:
        return Reason("model_unavailable", f"No version to serve of {', '.join(missing)}; /headct/models has the reasons.")
    return None
