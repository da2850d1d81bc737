"""Training jobs: one after the other, each in a process of its own that gives way to inference and cannot take the server with it.

The process works in a folder (`job_folder.JobFolder`) and knows nothing of jobs; the thread here starts it, mirrors its progress into the
store, ends it when the job is cancelled, the server stops or it takes more memory than it may, and promotes what it made where the gate
says so and the operator left that to the gate. A server that is killed takes its process along; should one outlive it all the same, the
next server ends it before anything else, so that no job runs twice.
"""

import logging
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from headct_molre.data.store import Job, JobConflict
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import HeadCTError
from headct_molre.models.checkpoint import load_card
from headct_molre.server.config import ServerConfig
from headct_molre.server.process import is_gone, process_name
from headct_molre.server.worker_process import TERM_S, WorkerProcess, end_outlived
from headct_molre.training.finetune import FineTuneConfig, FineTuneTask
from headct_molre.training.finetune.job_files import REFUSED, TERMINATED
from headct_molre.training.gate.policy import GatePolicy
from lib.learning.job_folder import JobFolder
from lib.learning.limits import memory_limit, thread_limit
from lib.learning.promotion import promoted
from lib.learning.readiness import TrainingSummary, readiness, summarise
from lib.metrics import TRAINING_MEMORY, training_ended

logger = logging.getLogger("headct_molre.training")

KIND = "train"
MODULE = "headct_molre.training.finetune"
POLL_S = 0.25  # how often the process is looked at
REPORT_S = 1.0  # how often the store learns of the progress, and says whether the job was cancelled
STORE_RETRY_S = 5.0


class TrainingJobs:
    """Runs the training jobs of this server process, one after the other, in a thread of its own."""

    def __init__(self, app: Any, config: ServerConfig, module: str = MODULE) -> None:
        self._app, self._config, self._module = app, config, module
        self._store, self._jobs = app.store, app.store.jobs
        self._process = process_name()
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._look = threading.Event()  # some job was cancelled, or the server stops
        self._ended: dict[str, Future[None]] = {}
        self._thread = threading.Thread(target=self._work, name="training", daemon=True)

    def begin(self) -> None:
        """Starts the thread; first of all it looks after the jobs of a server that was stopped or killed."""
        self._thread.start()

    def create(self, model: str, config: FineTuneConfig, owner: str, enqueue: bool = False) -> Job:
        """A new job on all corrections that there are now; with `enqueue` it may wait for another one.

        Raises JobConflict `busy` (429) when one runs, HeadCTError `too_few_corrections` or `one_class_only` (409), ModelUnavailable,
        NotFound.
        """
        self._app.infer_task(model)
        limit = thread_limit(self._config)
        threads = min(config.threads, limit) if "threads" in config.model_fields_set else limit
        config = config.model_copy(update={"threads": threads})
        load_card(model)
        found = readiness(self._store, config, self._config.label_rule)
        found.check(config)
        request = config.model_dump(mode="json", exclude_defaults=True)
        job = self._jobs.create(KIND, request, owner=owner, model=model, process=self._process, alone=not enqueue)
        self.folder(job.job_id).write_task(self._task(job, found.until))
        self._put(job.job_id)
        return job

    def resume(self, job_id: str) -> Job:
        """Goes on with an interrupted job after those that wait. Raises JobConflict, NotFound."""
        job = self._jobs.requeue(job_id, self._process)
        self._put(job_id)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancels a job; its process ends within seconds and leaves no half version. Raises JobConflict, NotFound."""
        job = self._jobs.cancel(job_id)
        self._look.set()
        return job

    def summary(self, model: str) -> TrainingSummary:
        """What a training would learn from now. Raises NotFound."""
        self._app.infer_task(model)
        return summarise(self._store, model, FineTuneConfig(), self._config.label_rule, self._config.promotion)

    def ended(self, job_id: str) -> Future[None]:
        """Done when this process has done with the job."""
        return self._ended.get(job_id) or _done()

    def folder(self, job_id: str) -> JobFolder:
        """Where the job's process works."""
        return JobFolder(self._app.datastore().private_folder("jobs") / job_id)

    def stop(self) -> None:
        """The job that runs is interrupted; it can be resumed."""
        self._stopping.set()
        self._look.set()
        self._waiting.put(None)

    def join(self, seconds: float) -> None:
        """Waits for the thread after `stop`."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _put(self, job_id: str) -> None:
        self._ended[job_id] = Future()
        self._waiting.put(job_id)

    def _work(self) -> None:
        self._until_the_store_answers(self._take_over)
        while (job_id := self._waiting.get()) is not None and not self._stopping.is_set():
            try:
                self._take(job_id)
            except Exception:
                logger.exception("training job %s ended unexpectedly", job_id)
            finally:
                self._ended.pop(job_id, _done()).set_result(None)

    def _take_over(self) -> None:
        """Of the jobs that were interrupted: ends what still runs, closes those that had ended, and takes up those that never began."""
        self._jobs.interrupt_orphans(is_gone)
        for job in reversed(self._jobs.list(500, kind=KIND, states=["interrupted"])):
            folder = self.folder(job.job_id)
            if end_outlived(folder.mark, TERM_S):
                logger.warning("the process of training job %s had outlived its server and was ended", job.job_id)
            if folder.result() is not None or folder.error() is not None or job.started_at is None:
                with suppress(JobConflict):
                    self.resume(job.job_id)

    def _take(self, job_id: str) -> None:
        try:
            job: Job | None = self._until_the_store_answers(lambda: self._jobs.start(job_id, self._process))
        except JobConflict:
            return  # cancelled before its turn, or taken by another server
        if job is not None:
            _Run(self, job).run()

    def _until_the_store_answers(self, action: Any) -> Any:
        """What the action gives; None where the server stops before the store can do it."""
        while True:
            try:
                return action()
            except StoreUnavailable as fault:
                logger.warning("training waits for the store: %s", fault.code)
                if self._stopping.wait(STORE_RETRY_S):
                    return None

    def _task(self, job: Job, until: int) -> FineTuneTask:
        config, private = self._config, self._app.datastore().private_folder
        return FineTuneTask(
            model=job.model or "",
            store_url=config.store_url,
            studies_folder=Path(self._app.studies).absolute(),
            features_folder=private("features"),
            prepared_folder=private("prepared"),
            until=until,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            config=FineTuneConfig.model_validate(job.request),
            gate_policy=GatePolicy.model_validate({**config.gate, "decision": config.promotion}),
            label_rule=config.label_rule,
        )


class _Run:
    """One run of one job, from the start of its process to its end."""

    def __init__(self, training: TrainingJobs, job: Job) -> None:
        self._training, self._job = training, job
        self._jobs, self._stopping, self._look = training._jobs, training._stopping, training._look
        self._folder = training.folder(job.job_id)
        self._reported = 0.0
        self._began = time.monotonic()

    def run(self) -> None:
        """To its end, or to the point where it is not to go on."""
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
        limit = memory_limit(self._training._config)
        threads = str(thread_limit(self._training._config))
        environ = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        worker = WorkerProcess(
            self._training._module, [str(self._folder.path)], log=self._folder.log, mark=self._folder.mark, environ=environ
        )
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
        document |= promoted(self._job, result, self._training._config.promotion)
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
            self._training._until_the_store_answers(lambda: change(self._job.job_id, *arguments))


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


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
