"""What a finished run left in its folder, for those who compare runs and do not want to repeat one."""

from __future__ import annotations

import csv
from pathlib import Path

from ..evaluation.scores import Scores, read_scores
from .config import TrainingConfig
from .run_record import RunRecord, read_record, refuse_other_run

RECORD, REFUSED = "run.json", "refused.csv"


def finished_run(folder: Path, config: TrainingConfig, manifest_sha256: str, backbone_sha256: str) -> RunRecord | None:
    """The record of the run that ended in this folder, or None where one has still to start or to end.

    Raises InvalidRequest that names what differs, where the folder holds a run of other settings, another manifest or other weights.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = read_record(path)
    asked = {"config": config, "manifest_sha256": manifest_sha256, "backbone_sha256": backbone_sha256}
    refuse_other_run(record, record.model_copy(update=asked))
    return None if record.epochs is None else record


def judged_split(record: RunRecord) -> str:
    """The split that a finished run is judged on: "test", or "validation" where it had no test studies."""
    return "test" if record.studies.get("test") else "validation"


def run_scores(folder: Path, split: str) -> Scores:
    """The raw logits of the accepted studies of one split, as the run wrote them."""
    return read_scores(folder / "scores" / f"{split}.csv")


def refusals(folder: Path, split: str) -> dict[str, str]:
    """The studies of a split that the run could not use, with the reason of each."""
    path = folder / REFUSED
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["study"]: row["message"] for row in csv.DictReader(file) if row["split"] == split}
