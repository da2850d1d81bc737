"""One run of a training job: its process from the start to the end, and what follows from how it ended.

The process works in a folder (`job_folder.JobFolder`) and knows nothing of jobs. It is watched from here: its progress goes into the store,
it is ended when the job is cancelled, the server stops or it takes too much memory, and what it made is promoted where the gate says
so and the operator left that to the gate.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from headct_molre.data.store import Job, JobConflict, Jobs
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import HeadCTError
from headct_molre.server.config import ServerConfig
from headct_molre.server.training_limits import memory_limit, thread_limit
from headct_molre.server.worker_process import TERM_S, WorkerProcess, end_outlived
from headct_molre.training.finetune.job_files import REFUSED, TERMINATED
from lib.learning.job_folder import JobFolder
from lib.learning.promotion import promoted
from lib.metrics import TRAINING_MEMORY, training_ended

logger = logging.getLogger("headct_molre.training")

POLL_S = 0.25  # how often the process is looked at
REPORT_S = 1.0  # how often the store learns of the progress, and says whether the job was cancelled
STORE_RETRY_S = 5.0
_FROM_OUTSIDE = (TERMINATED, -signal.SIGTERM, -signal.SIGKILL, -signal.SIGINT)

Answer = TypeVar("Answer")


def patiently(action: Callable[[], Answer], stopping: threading.Event) -> Answer | None:
    """What the action on the store gives, which may have to wait; None where the server stops before the store can do it."""
    while True:
        try:
            return action()
        except StoreUnavailable as fault:
            logger.warning("training waits for the store: %s", fault.code)
            if stopping.wait(STORE_RETRY_S):
                return None


class TrainingRun:
    """One run of one job, from the start of its process to its end."""

    def __init__(self, job: Job, folder: JobFolder, jobs: Jobs, config: ServerConfig, module: str) -> None:
        self._job, self._folder, self._jobs = job, folder, jobs
        self._config, self._module = config, module
        self._reported = 0.0
        self._began = time.monotonic()

    def until_its_end(self, stopping: threading.Event, look: threading.Event) -> None:
        """To the job's end, or to the point where it is not to go on: `stopping`, or cancelled, which is looked for when `look` is set."""
        self._stopping, self._look = stopping, look
        try:
            if self._folder.result() is None and self._folder.error() is None:
                self._let_work()
            self._close()
        except _Halted as halted:
            self._end_as(halted.outcome)
        except HeadCTError as error:
            self._fail(error)
        except Exception as error:
            logger.exception("training job %s failed", self._job.job_id)
            self._fail(HeadCTError("internal_error", f"The job failed ({type(error).__name__}); see the server's log."))

    def _let_work(self) -> None:
        """The process from start to end. Raises _Halted, and HeadCTError where it failed."""
        if not self._folder.has_task():
            raise HeadCTError("task_missing", "The server was stopped while this job was being made. Start a new one.")
        end_outlived(self._folder.mark, TERM_S)
        limit = memory_limit(self._config)
        threads = str(thread_limit(self._config))
        environ = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        worker = WorkerProcess(self._module, [str(self._folder.path)], log=self._folder.log, mark=self._folder.mark, environ=environ)
        try:
            while (code := worker.wait(POLL_S)) is None:
                if self._stopping.is_set():
                    raise _Halted("interrupted")
                self._report()
                memory = worker.memory()
                TRAINING_MEMORY.set(memory)
                if memory > limit:
                    raise _out_of_memory(limit)
        except HeadCTError:
            worker.kill()
            raise
        except BaseException:
            worker.end(TERM_S)
            raise
        finally:
            TRAINING_MEMORY.set(0)
        self._report(force=True)
        self._judge(code)

    def _judge(self, code: int) -> None:
        """What the end of the process means. Raises _Halted, HeadCTError."""
        if code == 0 and self._folder.result() is not None:
            return
        if code == REFUSED and (error := self._folder.error()) is not None:
            raise error
        if code < 0 or code == TERMINATED:
            # Not by us: the machine ran out of memory, or somebody ended it. What it did so far is kept.
            logger.warning("the process of training job %s was ended by a signal (exit code %d)", self._job.job_id, code)
            raise _Halted("interrupted")
        message = f"The training process failed (exit code {code}). Its log has the reason: GET /headct/jobs/{self._job.job_id}/log."
        raise HeadCTError("training_failed", message)

    def _close(self) -> None:
        result = self._folder.result()
        if result is None:
            raise self._folder.error() or HeadCTError("training_failed", "The training process left no result.")
        document = result.model_dump(mode="json")
        document |= promoted(self._job, result, self._config.promotion)
        self._change(self._jobs.finish, document)
        self._end_as("succeeded")

    def _report(self, force: bool = False) -> None:
        """Tells the store, now and then. Raises _Halted where the job is cancelled; a store that does not answer is told later."""
        if not (force or self._look.is_set() or time.monotonic() - self._reported > REPORT_S):
            return
        self._look.clear()
        self._reported = time.monotonic()
        progress = self._folder.progress()
        with suppress(StoreUnavailable):
            if not self._jobs.progress(self._job.job_id, {} if progress is None else progress.model_dump(mode="json")):
                raise _Halted("cancelled")

    def _fail(self, error: HeadCTError) -> None:
        self._change(self._jobs.fail, error)
        self._end_as("failed")

    def _end_as(self, outcome: str) -> None:
        if outcome == "interrupted":
            self._change(self._jobs.interrupt)
        else:
            self._folder.drop_checkpoint()
        training_ended(self._job.model or "", outcome, time.monotonic() - self._began)
        logger.info("training job %s %s", self._job.job_id, outcome)

    def _change(self, change: Any, *arguments: Any) -> None:
        """A change of the job's state; where it was cancelled, it stays so."""
        with suppress(JobConflict):
            patiently(lambda: change(self._job.job_id, *arguments), self._stopping)


class _Halted(Exception):
    """The job is not to go on: "interrupted" or "cancelled"."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def _out_of_memory(limit: int) -> HeadCTError:
    message = (
        f"The training process took more than {limit // 1_000_000} MB and was ended. Raise train_memory_mb, or learn from fewer replayed "
        "studies."
    )
    return HeadCTError("out_of_memory", message)
