"""Full mode: LoRA too, on the images, through the training loop."""

from __future__ import annotations

from pathlib import Path

from .config import FineTuneConfig
from .inputs import Inputs
from .report_progress import Progress
from .tuned import Tuned


def tune_fully(inputs: Inputs, version: Path, config: FineTuneConfig, folder: Path, progress: Progress) -> Tuned:
    raise NotImplementedError
