"""Batch inference: fills the store with predictions of all studies, behind what readers ask for.

Worker processes prepare volumes ahead of the network. What has its prediction and its slice features already is skipped, so that these
are themselves the progress, and a job goes on after a kill where it was. At most one job runs at a time. Its thread holds a few studies
and the list of ids.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import closing, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any, Literal

from pydantic import Field

from headct_molre.data.bulk import prepare_many
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.data.store import Job, JobConflict
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import HeadCTError, ModelUnavailable
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import load_card
from headct_molre.schema import Contract, Prediction, StudyId
from headct_molre.server.devices import give_way
from headct_molre.server.process import is_gone, process_name
from headct_molre.server.queue import QueueRefused
from lib.infers.headct import HeadCT, Images

logger = logging.getLogger("headct_molre.batch")

KIND = "batch_infer"
REPORT_S = 1.0  # how often the store learns of the progress
STORE_RETRY_S = 10.0
AHEAD = 2  # studies for each device that are prepared and wait for it


class BatchRequest(Contract):
    """What MONAI Label's clients send; `images` is a group of studies or a list of ids.

    The queue knows its devices, and predictions go into the store, so the last six fields change nothing.
    """

    images: Literal["all", "labeled", "unlabeled"] | Annotated[list[StudyId], Field(max_length=10_000)] = "all"
    max_workers: Annotated[int, Field(ge=0, le=256)] = 0  # processes that prepare volumes; 0: as many as suit the machine
    max_batch_size: Annotated[int, Field(ge=0)] = 0  # studies at most; 0: all
    device: str = ""
    multi_gpu: bool = True
    gpus: str = "all"
    logging: str = ""
    save_label: bool = True
    label_tag: str = ""


class BatchInference:
    """Runs the batch jobs of this server process, one after the other, in a thread of its own."""

    def __init__(self, app: Any, prepared: PreparedCache) -> None:
        self._app, self._prepared = app, prepared
        self._jobs = app.store.jobs
        self._process = process_name()
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._look = threading.Event()  # some job was cancelled
        self._ended: dict[str, Future[None]] = {}
        self._thread = threading.Thread(target=self._work, name="batch", daemon=True)

    def begin(self) -> None:
        """Starts the thread, and takes up the jobs of a server that was stopped or killed."""
        self._jobs.interrupt_orphans(is_gone)
        for job in reversed(self._jobs.list(kind=KIND, states=["interrupted"])):
            self._waiting.put(job.job_id)
        self._thread.start()

    def create(self, model: str, request: BatchRequest, owner: str) -> Job:
        """A new job. Raises JobConflict `busy` (429) when one runs, ModelUnavailable, QueueRefused `stopping`."""
        load_card(model)
        job = self._jobs.create(
            KIND, request.model_dump(exclude_defaults=True), owner=owner, model=model, process=self._process, alone=True
        )
        self._ended[job.job_id] = Future()
        self._waiting.put(job.job_id)
        return job

    def ended(self, job_id: str) -> Future[None]:
        """Done when this process has done with the job."""
        return self._ended.get(job_id) or _done()

    def cancel(self, job_id: str) -> Job:
        """Cancels a job; one that runs here stops between two studies."""
        job = self._jobs.cancel(job_id)
        self._look.set()
        return job

    def stop(self) -> None:
        """The job that runs is marked as interrupted; the next start goes on with it."""
        self._stopping.set()
        self._waiting.put(None)

    def join(self, seconds: float) -> None:
        """Waits for the thread after `stop`."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        give_way()  # the processes that it starts inherit it
        while (job_id := self._waiting.get()) is not None and not self._stopping.is_set():
            try:
                self._take(job_id)
            except Exception:
                logger.exception("batch job %s ended unexpectedly", job_id)
            finally:
                self._ended.pop(job_id, _done()).set_result(None)

    def _take(self, job_id: str) -> None:
        """Runs one job to its end; a store that fails is waited for."""
        while not self._stopping.is_set():
            try:
                job = self._started(job_id)
                if job is None:
                    return
                self._run(job)
                return
            except StoreUnavailable as fault:
                logger.warning("batch job %s waits for the store: %s", job_id, fault.code)
                self._stopping.wait(STORE_RETRY_S)

    def _started(self, job_id: str) -> Job | None:
        """The job, running in this process; None when it is not to run here."""
        job: Job = self._jobs.get(job_id)
        if job.state == "running" and job.process == self._process:
            return job  # it was interrupted by a failing store
        try:
            return self._jobs.start(job_id, self._process)
        except JobConflict:
            return None  # cancelled before its turn, or taken by another server

    def _run(self, job: Job) -> None:
        try:
            tally = _Batch(self._app, job, self._prepared, self._stopping, self._look).run()
            self._close(self._jobs.finish, job.job_id, tally)
        except _Halted:
            self._close(self._jobs.interrupt, job.job_id)
        except StoreUnavailable:
            raise
        except HeadCTError as error:
            self._close(self._jobs.fail, job.job_id, error)
        except Exception as error:
            logger.exception("batch job %s failed", job.job_id)
            self._close(
                self._jobs.fail, job.job_id, HeadCTError("internal_error", f"The job failed ({type(error).__name__}); see the log.")
            )

    def _close(self, change: Any, *arguments: Any) -> None:
        with suppress(JobConflict):  # it was cancelled, and stays so
            change(*arguments)


class _Halted(Exception):
    """The job was cancelled, or the server stops."""


class _Batch:
    """One run of one job: skip, prepare, predict, count."""

    def __init__(self, app: Any, job: Job, prepared: PreparedCache, stopping: threading.Event, look: threading.Event) -> None:
        self._app, self._job, self._prepared, self._stopping, self._look = app, job, prepared, stopping, look
        self._request = BatchRequest.model_validate(job.request)
        self._task: HeadCT = app.infer_task(job.model)
        self._studies: list[str] = []
        self._done, self._refused = 0, Counter[str]()
        self._computed, self._began, self._reported = 0, time.monotonic(), 0.0
        self._contents: dict[tuple[Path, str | None], tuple[Images, str]] = {}  # of the studies that are being prepared
        self._inferring: set[Future[Prediction]] = set()

    def run(self) -> dict[str, Any]:
        """The final counts. Raises _Halted, HeadCTError when the job cannot go on."""
        self._studies = self._chosen()
        self._report(force=True)
        workers = self._request.max_workers or _workers(len(self._app.queue.devices))
        grid = backbone_spec(load_card(self._job.model or "").backbone).grid
        at_once = AHEAD * len(self._app.queue.devices)
        try:
            with closing(prepare_many(self._sources(), workers, self._prepared, grid)) as ahead:
                for source, outcome in ahead:
                    images, content = self._contents.pop(source)
                    if isinstance(outcome, HeadCTError):
                        self._refuse(outcome)
                    else:
                        self._inferring.add(self._submit(images, content, outcome))
                    del outcome
                    self._collect(at_once - 1)
                self._collect(0)
        finally:
            for inference in self._inferring:
                inference.cancel()
        self._report(force=True)
        return self._counts()

    def _chosen(self) -> list[str]:
        datastore, images = self._app.datastore(), self._request.images
        if isinstance(images, str):
            listing = {"all": datastore.list_images, "labeled": datastore.get_labeled_images, "unlabeled": datastore.get_unlabeled_images}
            images = listing[images]()
        return images[: self._request.max_batch_size or None]

    def _sources(self) -> Iterator[tuple[Path, str | None]]:
        """Where the studies lie that have no prediction or no features yet; asked for one by one as processes become free."""
        datastore = self._app.datastore()
        for study in self._studies:
            self._report()
            try:
                images = Images(Path(datastore.get_image_uri(study)), study, listed=True)
                content = self._task.content(images)
            except StoreUnavailable:
                raise
            except HeadCTError as error:
                self._refuse(error)
                continue
            if self._task.complete(content):
                self._done += 1
                continue
            source = images.path, None
            self._contents[source] = images, content
            yield source

    def _submit(self, images: Images, content: str, prepared: Any) -> Future[Prediction]:
        try:
            return self._task.submit(images, content, request_id=self._job.job_id, reader=self._job.owner, batch=True, prepared=prepared)
        except QueueRefused:
            raise _Halted from None

    def _collect(self, left: int) -> None:
        """Waits until at most so many inferences are left."""
        while len(self._inferring) > left:
            for inference in wait(self._inferring, timeout=REPORT_S, return_when=FIRST_COMPLETED).done:
                self._inferring.remove(inference)
                self._count(inference)
            self._report()

    def _count(self, inference: Future[Prediction]) -> None:
        try:
            inference.result()
            self._done += 1
            self._computed += 1
        except QueueRefused:
            raise _Halted from None
        except (StoreUnavailable, ModelUnavailable):
            raise
        except HeadCTError as error:
            self._refuse(error)
        except CancelledError:
            self._refuse(HeadCTError("cancelled", ""))
        except Exception:
            logger.exception("a study of batch job %s failed", self._job.job_id)
            self._refuse(HeadCTError("internal_error", ""))

    def _refuse(self, error: HeadCTError) -> None:
        self._refused[error.code] += 1

    def _report(self, force: bool = False) -> None:
        """Tells the store, now and then. Raises _Halted when the job is not to go on."""
        if self._stopping.is_set():
            raise _Halted
        if force or self._look.is_set() or time.monotonic() - self._reported > REPORT_S:
            self._look.clear()
            self._reported = time.monotonic()
            if not self._app.store.jobs.progress(self._job.job_id, self._counts()):
                raise _Halted

    def _counts(self) -> dict[str, Any]:
        refused = sum(self._refused.values())
        left = len(self._studies) - self._done - refused
        seconds = None if not self._computed else round((time.monotonic() - self._began) / self._computed * left, 1)
        counts = {"done": self._done, "total": len(self._studies), "refused": refused, "refusals": dict(self._refused)}
        return counts | {"seconds_left": 0.0 if left == 0 else seconds}


def _workers(devices: int) -> int:
    """Half of the cores, and no more than keep the devices busy."""
    return max(1, min((os.cpu_count() or 2) // 2, 16 * devices))


def _done() -> Future[None]:
    future: Future[None] = Future()
    return future
