"""Jobs in the words of MONAI Label's tasks."""

from collections.abc import Callable
from typing import Any

from headct_molre.data.store import Job, Jobs
from headct_molre.errors import NotFound

_STATUS = {
    "queued": "SUBMITTED",
    "running": "RUNNING",
    "succeeded": "DONE",
    "failed": "ERROR",
    "cancelled": "STOPPED",
    "interrupted": "STOPPED",
}


def monailabel_task(job: Job, log: list[str] | None = None) -> dict[str, Any]:
    """{id, model, status, request, start_ts, end_ts, details, progress}: `details` are the last lines of its log and its error."""
    task: dict[str, Any] = {"id": job.job_id, "model": job.model, "status": _STATUS[job.state]}
    task["request"] = {"model": job.model, **job.request}
    task["start_ts"] = f"{job.created_at:%Y-%m-%d %H:%M:%S}"
    task["details"] = [*(log or []), *([] if job.error is None else [job.error["message"]])]
    if job.ended_at is not None:
        task["end_ts"] = f"{job.ended_at:%Y-%m-%d %H:%M:%S}"
    return task | {"progress": job.progress}


def task_status(
    jobs: Jobs, kind: str, noun: str, *, every: bool, running: bool, task: Callable[[Job], dict[str, Any]] = monailabel_task
) -> dict[str, Any] | list[dict[str, Any]]:
    """The last job of a kind as a task; a list of up to 500 with `every`; with `running` only one that runs. Raises NotFound."""
    found = jobs.list(500 if every else 1, kind=kind, states=["queued", "running"] if running else None)
    if not found:
        raise NotFound("unknown_task", f"No {noun} runs." if running else f"There was no {noun} yet.")
    return [task(each) for each in found] if every and not running else task(found[0])
