"""Tells the server how far a fine-tune is, through a file that is replaced whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from ...output import write_whole
from .job_files import PROGRESS
from .task import FineTuneProgress, Stage

STAGES: tuple[Stage, ...] = get_args(Stage)
# Where each stage begins in the whole, in percent; training on stored features takes most of the time.
BEGINS = {"corrections": 0.0, "features": 2.0, "training": 25.0, "gate": 88.0, "writing": 97.0}
MESSAGES = {
    "corrections": "Reading the corrections",
    "features": "Collecting the features of the corrected studies",
    "training": "Learning",
    "gate": "Judging the candidate on held-out corrections",
    "writing": "Writing the version",
}
AT_MOST_EVERY_S = 0.3
# Hears all that is written.
Listener = Callable[[FineTuneProgress], None]


class Progress:
    """The progress of one fine-tune, written to its folder at most every `AT_MOST_EVERY_S`, and at every new stage."""

    def __init__(self, folder: Path, listener: Listener | None = None) -> None:
        self._path, self._listener = folder / PROGRESS, listener
        self._stage: Stage = STAGES[0]
        self._begun = self._written = 0.0
        self.seconds: dict[str, float] = {}

    def stage(self, stage: Stage) -> None:
        """A stage begins, and the one before has ended."""
        now = time.monotonic()
        if self._begun:
            self.seconds[self._stage] = round(now - self._begun, 3)
        self._stage, self._begun = stage, now
        self._write(0.0)

    def tell(self, share: float, metrics: dict[str, float] | None = None, epoch: int | None = None, epochs: int | None = None) -> None:
        """A share, from 0 to 1, of the present stage is done."""
        if time.monotonic() - self._written >= AT_MOST_EVERY_S:
            self._write(share, metrics or {}, epoch, epochs)

    def end(self) -> None:
        """The last stage has ended."""
        self.seconds[self._stage] = round(time.monotonic() - self._begun, 3)
        self._write(1.0)

    def _write(self, share: float, metrics: dict[str, float] | None = None, epoch: int | None = None, epochs: int | None = None) -> None:
        self._written = time.monotonic()
        place = STAGES.index(self._stage)
        begin = BEGINS[self._stage]
        end = BEGINS[STAGES[place + 1]] if place + 1 < len(STAGES) else 100.0
        spent = self._written - self._begun
        left = None
        if share > 0.02 and end > begin:
            of_stage = spent / share
            left = round(of_stage * (1 - share) + of_stage / (end - begin) * (100.0 - end), 1)
        progress = FineTuneProgress(
            stage=self._stage,
            stage_number=place + 1,
            stages=len(STAGES),
            epoch=epoch,
            epochs=epochs,
            percentage=round(begin + share * (end - begin), 1),
            seconds_left=left,
            metrics=metrics or {},
            message=MESSAGES[self._stage],
        )
        write_whole(self._path, progress.model_dump_json().encode())
        if self._listener is not None:
            self._listener(progress)
