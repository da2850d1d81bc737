"""Jobs in the words of MONAI Label's tasks."""

from typing import Any

from headct_molre.data.store import Job

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
