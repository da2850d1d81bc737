"""A model's raw logits on the studies of a cohort, as a table on disk."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidRequest
from ..findings import finding_keys
from ..output import write_whole


@dataclass(frozen=True)
class Scores:
    """Ids of studies (N) and raw, not calibrated logits (N, 75) float64 in taxonomy order; NaN where a model says nothing of a finding."""

    studies: tuple[str, ...]
    logits: np.ndarray

    def of(self, studies: tuple[str, ...]) -> Scores:
        """The scores of these studies in this order. Raises InvalidRequest that names the first that has none."""
        where = {study: row for row, study in enumerate(self.studies)}
        missing = [study for study in studies if study not in where]
        if missing:
            raise InvalidRequest(
                "scores_missing", f"There are no scores of {len(missing)} studies, the first is {missing[0]}.", field="study"
            )
        return Scores(studies, self.logits[[where[study] for study in studies]])


def write_scores(scores: Scores, path: Path) -> None:
    """A CSV of `study` and one column for each finding, whole or not at all; a number reads back to the same bits, NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study", *finding_keys()])
    for study, row in zip(scores.studies, scores.logits, strict=True):
        writer.writerow([study, *("" if math.isnan(value) else repr(float(value)) for value in row)])
    write_whole(path, text.getvalue().encode())


def read_scores(path: Path) -> Scores:
    """The scores of a CSV; findings without a column are NaN.

    Raises InvalidRequest that names row, column and value for what is not a finite number, an unknown column or a study that comes twice.
    """
    keys = finding_keys()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        unknown = [column for column in columns if column not in ("study", *keys)]
        if "study" not in columns or unknown:
            problem = f"has the unknown column {unknown[0]!r}" if unknown else "has no column 'study'"
            raise InvalidRequest("invalid_scores", f"{path} {problem}; it needs 'study' and keys of findings.", field="scores")
        rows = list(reader)
    studies = tuple(row["study"] for row in rows)
    twice = (
        next((study for number, study in enumerate(studies) if study in studies[:number]), None) if len(set(studies)) < len(rows) else None
    )
    if twice is not None:
        raise InvalidRequest("invalid_scores", f"{path} holds the study {twice!r} twice.", field="scores")
    logits = np.array([[_number(row.get(key), path, number, key) for key in keys] for number, row in enumerate(rows, 2)])
    return Scores(studies, logits.reshape(len(rows), len(keys)))


def _number(cell: str | None, path: Path, row: int, column: str) -> float:
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest("invalid_scores", f"{path}, row {row}, column {column}: {cell!r} is not a finite number.", field="scores")
    return value
