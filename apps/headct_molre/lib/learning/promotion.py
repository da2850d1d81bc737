"""What becomes of a version that a training job made."""

import logging
from typing import Any, Literal

from headct_molre.data.store import Job
from headct_molre.errors import HeadCTError
from headct_molre.models.versions import promote, served_version
from headct_molre.training.finetune import FineTuneResult
from lib.metrics import VERSION_CHANGES

logger = logging.getLogger("headct_molre.training")

GATE = "gate"  # who promotes where no person does


def promoted(job: Job, result: FineTuneResult, decision: Literal["automatic", "person"]) -> dict[str, Any]:
    """{promoted, next}: promotes where the gate says so and the operator left it to the gate; else says in a sentence what is next."""
    if result.outcome == "reject":
        return {"promoted": False, "next": f"{result.version} was rejected; the version that serves goes on serving."}
    if not (result.promotes_by_itself and decision == "automatic"):
        asked = "the gate holds it, and" if result.outcome == "hold" else "the gate says promote;"
        return {"promoted": False, "next": f"{result.version} is the candidate: {asked} a person with the trainer role decides."}
    try:
        if served_version(job.model or "") != result.version:  # else this server was killed between the promotion and this line
            promote(job.model or "", GATE, result.version, f"automatic, training job {job.job_id}")
            VERSION_CHANGES.labels(job.model, "promoted").inc()
    except HeadCTError as error:
        logger.warning("the version of training job %s was not promoted: %s", job.job_id, error.code)
        return {"promoted": False, "next": f"{result.version} is the candidate; it was not promoted: {error.message}"}
    return {"promoted": True, "next": f"{result.version} serves from the next request on."}
