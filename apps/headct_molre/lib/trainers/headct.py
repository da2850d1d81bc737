"""MONAI Label's training task of one model: what `/info/` says of it. The work itself is a job (`lib.learning`)."""

import time
from datetime import timedelta
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from headct_molre.data.store import Job, Jobs
from headct_molre.errors import HeadCTError
from headct_molre.training.finetune import FineTuneConfig

KIND = "train"


class FineTune(TrainTask):
    """Fine-tunes the released version of a model from all corrections."""

    def __init__(self, model: str, jobs: Jobs) -> None:
        super().__init__(f"Fine-tunes {model} from readers' corrections; a gate judges what it makes (research software)")
        self.model = model
        self._jobs = jobs

    def config(self) -> dict[str, Any]:
        """The settings with their defaults; `POST /train/{model}` takes each of them."""
        return FineTuneConfig().model_dump(mode="json")

    def stats(self) -> dict[str, Any]:
        """MONAI Label's statistics of the newest training that runs or has made a version; {} where there is none. Finite numbers only."""
        found = self._jobs.list(1, kind=KIND, states=["running", "succeeded"], model=self.model)
        return _stats(found[0]) if found else {}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """MONAI Label would train in here, without a queue, a limit or a gate. Raises HeadCTError."""
        raise HeadCTError("not_supported", "Training runs as a job of the server: POST /train/{model}.", status=405)


def _stats(job: Job) -> dict[str, Any]:
    """Keys as MONAI Label's own trainers have them; `best_metric` is the mean AUC on the held-out corrections, 0 where there is none."""
    progress, result = job.progress, job.result or {}
    started = job.started_at or job.created_at
    seconds = (job.ended_at.timestamp() if job.ended_at else time.time()) - started.timestamp()
    stats = {
        "epoch": progress.get("epoch") or 0,
        "total_epochs": progress.get("epochs") or 0,
        "start_ts": int(started.timestamp()),
        "total_time" if job.ended_at else "current_time": str(timedelta(seconds=int(seconds))),
        "train": {"metrics": progress.get("metrics", {})},
    }
    if job.result is not None:
        metrics = result.get("metrics", {})
        stats |= {"best_metric": metrics.get("candidate_auc", 0.0), "eval": {"metrics": metrics}}
        stats |= {name: result.get(name) for name in ("version", "outcome")}
    return stats
