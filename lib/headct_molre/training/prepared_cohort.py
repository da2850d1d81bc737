"""A cohort whose studies went through the imaging once: where each lies in the cache, and which were refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data.bulk import PREPARATION_FAILED, prepare_many
from ..data.cohort import Cohort, CohortStudy
from ..data.prepared_cache import PreparedCache, cached_prepare
from ..errors import HeadCTError, StudyRefused
from ..imaging.content import content_sha256
from ..imaging.grid import Grid
from ..output import write_whole


@dataclass(frozen=True)
class Refusal:
    """Why a study of the cohort is not used."""

    study: str
    split: str | None
    code: str
    message: str


@dataclass(frozen=True)
class PreparedCohort:
    """The studies that were accepted, the content hash of each (N), where they are prepared, and the refusals."""

    cohort: Cohort
    contents: tuple[str, ...]
    cache: PreparedCache
    grid: Grid
    refused: tuple[Refusal, ...]

    def hu(self, row: int) -> np.ndarray:
        """HU (S, H, W) of a study on the grid; one that was evicted from the cache is prepared again.

        Raises StudyRefused where the files changed since.
        """
        found = self.cache.get(self.contents[row], self.grid)
        if found is not None:
            return found.prepared.hu
        study = self.cohort.studies[row]
        content = content_sha256(study.path, study.series_uid)
        if content != self.contents[row]:
            raise StudyRefused("study_changed", f"The files of {study.study} changed during training. Start a new run.")
        return cached_prepare(study.path, study.series_uid, self.cache, content, self.grid).prepared.hu

    def part(self, split: str) -> PreparedCohort:
        """The studies of one split."""
        rows = [row for row, study in enumerate(self.cohort.studies) if study.split == split]
        contents = tuple(self.contents[row] for row in rows)
        return PreparedCohort(self.cohort.take(rows), contents, self.cache, self.grid, self.refused)


def prepare_cohort(
    cohort: Cohort, cache: PreparedCache, grid: Grid, workers: int, record: Path | None = None, retry: bool = True
) -> PreparedCohort:
    """Prepare every study of a cohort into the cache, in parallel, with progress; a study that is refused is left out and reported.

    `record` keeps what was found, so that a run that is taken up again does not read a hundred thousand studies to learn it. What the gate
    refused stays refused; a study whose process died is tried again with `retry`, and without it the record has the last word.
    """
    known = _read_record(record, retry)
    missing = [study for study in cohort.studies if study.study not in known]
    sources = {(study.path, study.series_uid): study for study in missing}
    outcomes: dict[CohortStudy, str | HeadCTError] = {}
    with tqdm(total=len(missing), desc="preparing", unit="study", disable=None if missing else True, mininterval=1) as progress:
        for source, outcome in prepare_many(sources, workers, cache, grid):
            study = sources[source]
            outcomes[study] = outcome if isinstance(outcome, HeadCTError) else content_sha256(*source)
            progress.update()
    for study, found in outcomes.items():
        known[study.study] = found if isinstance(found, str) else asdict(Refusal(study.study, study.split, found.code, found.message))
    if record is not None and outcomes:
        write_whole(record, json.dumps(known).encode())
    accepted, contents, refused = [], [], []
    for row, study in enumerate(cohort.studies):
        entry = known[study.study]
        if isinstance(entry, str):
            accepted.append(row)
            contents.append(entry)
        else:
            refused.append(Refusal(**entry))
    return PreparedCohort(cohort.take(accepted), tuple(contents), cache, grid, tuple(refused))


def _read_record(record: Path | None, retry: bool) -> dict[str, str | Mapping[str, str]]:
    if record is None or not record.is_file():
        return {}
    entries = json.loads(record.read_text(encoding="utf-8"))
    return {study: entry for study, entry in entries.items() if not (retry and _failed(entry))}


def _failed(entry: str | Mapping[str, str]) -> bool:
    return not isinstance(entry, str) and entry["code"] == PREPARATION_FAILED
