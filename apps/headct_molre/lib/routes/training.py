"""POST /train/{model}, MONAI Label's route, and what a client needs to watch a training."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from headct_molre.data.store import Job
from headct_molre.errors import HeadCTError, NotFound
from headct_molre.training.finetune import FineTuneConfig
from lib.instance import headct_app
from lib.learning.readiness import TrainingSummary
from lib.learning.training_jobs import KIND
from lib.monailabel_task import monailabel_task, task_status
from lib.principal import whose_turn

router = APIRouter()


class TrainRequest(FineTuneConfig):
    """The settings of a fine-tune. MONAI Label's clients add their `client_id`, and some the name of the `model`."""

    client_id: str | None = None
    model: str | None = None

    def config(self) -> FineTuneConfig:
        """The settings that were given; the others are defaults."""
        return FineTuneConfig.model_validate(self.model_dump(exclude_unset=True, exclude={"client_id", "model"}))


class LogPart(BaseModel):
    """A part of a job's log; `next` is where to go on, and `ended` says that nothing more will come."""

    text: str
    next: int
    ended: bool


@router.post("/train/{model}", tags=["Train"], summary="Learn from the corrections")
async def train(
    request: Request, model: str, run_sync: bool = False, enqueue: bool = False, params: Annotated[TrainRequest | None, Body()] = None
) -> dict[str, Any]:
    """MONAI Label's task {id, model, status, request, start_ts, details, progress}; with `run_sync`, when it has ended.

    429 while a training runs, unless `enqueue`; 409 with the counts where there are too few corrections.
    """
    training = headct_app().training
    config = (params or TrainRequest()).config()
    job = await run_in_threadpool(training.create, model, config, whose_turn(request), enqueue)
    if run_sync:
        await asyncio.shield(asyncio.wrap_future(training.ended(job.job_id)))
        job = await run_in_threadpool(headct_app().store.jobs.get, job.job_id)
    return await run_in_threadpool(_task, job)


@router.post("/train", tags=["Train"], summary="Learn with every model that can")
@router.post("/train/", include_in_schema=False)
def train_all(request: Request, params: Annotated[dict[str, TrainRequest | str] | None, Body()] = None) -> dict[str, Any]:
    """MONAI Label's {model: {result: task or null, detail: why there is none}}; the jobs run one after the other.

    The body has settings by the name of the model; MONAI Label's clients add their `client_id`.
    """
    answer: dict[str, Any] = {}
    for model in headct_app().infer_tasks():
        asked = (params or {}).get(model)
        config = asked.config() if isinstance(asked, TrainRequest) else FineTuneConfig()
        try:
            job = headct_app().training.create(model, config, whose_turn(request), enqueue=True)
            answer[model] = {"result": _task(job), "detail": None}
        except HeadCTError as error:
            answer[model] = {"result": None, "detail": error.message}
    return answer


@router.get("/train", tags=["Train"], summary="The last training, or all")
@router.get("/train/", include_in_schema=False)
def train_status(all: bool = False, check_if_running: bool = False) -> Any:
    """MONAI Label's task; a list of up to 500 with `all`; with `check_if_running` only one that runs. 404 where there is none."""
    return task_status(headct_app().store.jobs, KIND, "training", every=all, running=check_if_running, task=_task)


@router.delete("/train", tags=["Train"], summary="Cancel the training that runs")
@router.delete("/train/", include_in_schema=False)
def train_stop() -> dict[str, Any] | None:
    """MONAI Label's task, null where none runs; those that wait for it stay in the queue."""
    running = headct_app().store.jobs.list(500, kind=KIND, states=["queued", "running"])
    if not running:
        return None
    first = next((job for job in running if job.state == "running"), running[-1])
    try:
        return _task(headct_app().training.cancel(first.job_id))
    except HeadCTError:  # it ended meanwhile
        return None


@router.post("/headct/jobs/{job_id}/resume", tags=["Head CT"], summary="Go on with an interrupted training")
def resume(job_id: str) -> Job:
    """The job, queued: it goes on where its process was stopped, and makes the same version as without the interruption."""
    _training(job_id)
    return headct_app().training.resume(job_id)


@router.get("/headct/jobs/{job_id}/log", tags=["Head CT"], summary="The log of a training")
def log(job_id: str, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> LogPart:
    """The part after so many bytes, at most 64 kB; ask again with `next` until `ended`."""
    job = _training(job_id)
    text, end = headct_app().training.folder(job_id).log_after(after)
    return LogPart(text=text, next=end, ended=not text and job.state not in ("queued", "running"))


@router.get("/headct/models/{model}/training", tags=["Head CT"], summary="What a training would learn from")
def summary(model: str) -> TrainingSummary:
    """Counts of corrections, and whether a training can be started; `reason` says why not."""
    return headct_app().training.summary(model)


def _training(job_id: str) -> Job:
    job = headct_app().store.jobs.get(job_id)
    if job.kind != KIND:
        raise NotFound("no_training", "This job is no training: it has no log, and goes on by itself.", field="job")
    return job


def _task(job: Job) -> dict[str, Any]:
    return monailabel_task(job, headct_app().training.folder(job.job_id).last_lines())
