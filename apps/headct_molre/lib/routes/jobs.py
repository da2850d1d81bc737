"""Jobs under /headct/jobs, and MONAI Label's /batch/infer, which starts one that predicts all studies."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from starlette.concurrency import run_in_threadpool

from headct_molre.data.store import Job
from headct_molre.errors import HeadCTError
from lib.batch import KIND, BatchRequest
from lib.instance import headct_app
from lib.learning.training_jobs import KIND as TRAINING
from lib.monailabel_task import monailabel_task, task_status
from lib.principal import whose_turn

router = APIRouter()


@router.get("/headct/jobs", tags=["Head CT"], summary="Long work of the server, the newest first")
def jobs(
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    kind: Annotated[str | None, Query(max_length=32)] = None,
) -> list[Job]:
    """A page of jobs; `before` is the `sequence` of the last job of the page before."""
    return headct_app().store.jobs.list(limit, before, kind)


@router.get("/headct/jobs/{job_id}", tags=["Head CT"], summary="One job")
def job(job_id: str) -> Job:
    """With its progress, and its result or error."""
    return headct_app().store.jobs.get(job_id)


@router.delete("/headct/jobs/{job_id}", tags=["Head CT"], summary="Cancel a job")
def cancel(job_id: str) -> Job:
    """The cancelled job; one that runs ends soon after."""
    app = headct_app()
    runner = app.training if app.store.jobs.get(job_id).kind == TRAINING else app.batch
    return runner.cancel(job_id)


@router.post("/batch/infer/{model}", tags=["Infer"], summary="Predict all studies, or some")
async def batch_infer(
    request: Request,
    model: str,
    images: Literal["all", "labeled", "unlabeled"] = "all",
    run_sync: bool = False,
    params: Annotated[BatchRequest | None, Body()] = None,
) -> dict[str, Any]:
    """MONAI Label's task {id, status, request, start_ts, ...}; with `run_sync`, when it has ended. 429 while another one runs."""
    wanted = params or BatchRequest()
    if "images" not in wanted.model_fields_set:
        wanted = wanted.model_copy(update={"images": images})
    app = headct_app()
    app.infer_task(model)
    created = await run_in_threadpool(app.batch.create, model, wanted, whose_turn(request))
    if run_sync:
        await asyncio.shield(asyncio.wrap_future(app.batch.ended(created.job_id)))
        created = await run_in_threadpool(app.store.jobs.get, created.job_id)
    return monailabel_task(created)


@router.get("/batch/infer", tags=["Infer"], summary="The last batch inference, or all")
@router.get("/batch/infer/", include_in_schema=False)
def batch_status(all: bool = False, check_if_running: bool = False) -> Any:
    """MONAI Label's task; a list of up to 500 with `all`; with `check_if_running` only one that runs. 404 where there is none."""
    return task_status(headct_app().store.jobs, KIND, "batch inference", every=all, running=check_if_running)


@router.delete("/batch/infer", tags=["Infer"], summary="Cancel the batch inference that runs")
@router.delete("/batch/infer/", include_in_schema=False)
def batch_stop() -> dict[str, Any] | None:
    """MONAI Label's task, null where none runs."""
    running = headct_app().store.jobs.list(1, kind=KIND, states=["queued", "running"])
    if not running:
        return None
    try:
        return monailabel_task(headct_app().batch.cancel(running[0].job_id))
    except HeadCTError:  # it ended meanwhile
        return None
