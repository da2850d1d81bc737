"""The one way from a study on disk to the model's input: read -> quality -> align -> prepare."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ..schema import Quality, Warning_
from .align import Alignment, align
from .cavity import head_grid
from .grid import SLICE_GRID, Grid
from .prepare import Prepared, prepare
from .quality import gate, judge_aligned
from .read import read_study
from .volume import Volume


@dataclass(frozen=True)
class PreparedStudy:
    """A study that the gate accepted: the model's input, what the gate remarked, and milliseconds by stage."""

    prepared: Prepared
    quality: Quality
    timing_ms: dict[str, float]


def prepare_study(path: Path, series_uid: str | None = None, grid: Grid = SLICE_GRID) -> PreparedStudy:
    """Read, judge, align and prepare the study at `path` for a model's grid; `series_uid` picks a DICOM series.

    Raises what `read_study` raises, and StudyRefused where the gate refuses the study.
    """
    started = time.perf_counter()
    volume = read_study(path, series_uid)
    read_ms = (time.perf_counter() - started) * 1000
    study = prepare_volume(volume, grid)
    return PreparedStudy(study.prepared, study.quality, {"read": round(read_ms, 3), **study.timing_ms})


def prepare_volume(volume: Volume, grid: Grid = SLICE_GRID) -> PreparedStudy:
    """The same from a volume that has been read. Raises StudyRefused where the gate refuses it."""
    started = time.perf_counter()
    head = head_grid(volume)
    quality = gate(volume, head)
    judged = time.perf_counter()
    alignment = align(volume, head)
    aligned = time.perf_counter()
    quality = judge_aligned(quality, volume, head, alignment.standard_from_ras, aligned=alignment.method != "scanner frame")
    judged_again = time.perf_counter()
    prepared = prepare(volume, alignment.standard_from_ras, grid)
    ended = time.perf_counter()
    seconds = {"quality": judged - started + judged_again - aligned, "align": aligned - judged, "prepare": ended - judged_again}
    timing = {stage: round(spent * 1000, 3) for stage, spent in seconds.items()}
    return PreparedStudy(prepared, with_alignment(quality, alignment), timing)


def with_alignment(quality: Quality, alignment: Alignment) -> Quality:
    """The gate's findings with how the head was aligned, and a warning where it could not be."""
    facts = {**quality.facts, "alignment_confidence": round(alignment.confidence, 3), "alignment_method": alignment.method}
    warnings = list(quality.warnings)
    if alignment.method == "scanner frame":
        message = "The head could not be aligned; the model reads it as it lay in the scanner and may be wrong."
        warnings.append(Warning_(code="not_aligned", message=message, value=alignment.confidence))
    return quality.model_copy(update={"facts": facts, "warnings": warnings})
