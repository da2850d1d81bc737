"""Training jobs: one after the other, each in a process of its own that gives way to inference and cannot take the server with it.

The thread here takes them up in turn (`run.TrainingRun`). A server that is killed takes its process along; one that is left all the same is
ended by the next server before anything else, so that no job runs twice.
"""

import logging
import threading
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from headct_molre.data.store import Job, JobConflict
from headct_molre.errors import HeadCTError
from headct_molre.models.checkpoint import load_card
from headct_molre.server.config import ServerConfig
from headct_molre.server.process import is_gone, process_name
from headct_molre.server.training_limits import thread_limit
from headct_molre.server.worker_process import TERM_S, end_outlived
from headct_molre.training.finetune import FineTuneConfig, FineTuneTask
from headct_molre.training.gate.policy import GatePolicy
from lib.learning.job_folder import JobFolder
from lib.learning.readiness import TrainingSummary, readiness, summarise
from lib.learning.run import TrainingRun, patiently

logger = logging.getLogger("headct_molre.training")

KIND = "train"
MODULE = "headct_molre.training.finetune"


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
        try:
            self.folder(job.job_id).write_task(self._task(job, found.until))
        except BaseException:
            self._jobs.fail(
                job.job_id, HeadCTError("task_missing", "The job's folder could not be written. See the disk, then train again.")
            )
            raise
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
        if job_id not in self._ended:  # else its run tidies up
            self.folder(job_id).drop_checkpoint()
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
        try:
            patiently(self._take_over, self._stopping)
        except Exception:
            logger.exception("the training jobs of a former server could not be looked after")
        while (job_id := self._waiting.get()) is not None and not self._stopping.is_set():
            try:
                self._take(job_id)
            except Exception:
                logger.exception("training job %s ended unexpectedly", job_id)
            finally:
                self._ended.pop(job_id, Future()).set_result(None)
        for ended in list(self._ended.values()):  # nobody shall wait for jobs that the next server begins
            ended.set_result(None)

    def _take_over(self) -> None:
        """Of the jobs that were interrupted: ends what still runs, closes those that had ended, and takes up those that never began."""
        self._jobs.interrupt_orphans(is_gone)
        for job in reversed(self._jobs.list(500, kind=KIND, states=["interrupted"])):
            folder = self.folder(job.job_id)
            try:
                if end_outlived(folder.mark, TERM_S):
                    logger.warning("the process of training job %s had outlived its server and was ended", job.job_id)
            except TimeoutError:
                logger.error("the process of training job %s cannot be ended; restart the machine", job.job_id)
                continue
            if folder.result() is not None or folder.error() is not None or job.started_at is None:
                with suppress(JobConflict):
                    self.resume(job.job_id)

    def _take(self, job_id: str) -> None:
        try:
            job: Job | None = patiently(lambda: self._jobs.start(job_id, self._process), self._stopping)
        except JobConflict:
            return  # cancelled before its turn, or taken by another server
        if job is not None:
            run = TrainingRun(job, self.folder(job_id), self._jobs, self._config, self._module)
            run.until_its_end(self._stopping, self._look)

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


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
