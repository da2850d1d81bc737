"""The process of one fine-tune: reads its folder, works, and leaves a result or the reason why there is none."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from ...errors import HeadCTError, InvalidRequest
from ...output import write_whole
from .job_files import ERROR, REFUSED, TASK, TERMINATED
from .run import run_task
from .task import FineTuneTask

logger = logging.getLogger(__name__)


def work(folder: Path) -> int:
    """Run, or take up, the fine-tune in a folder; the exit code of its process: 0, 2 where it is refused.

    SIGTERM ends it at once with 143; what was done is taken up by the next call, and no half version is left.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = run_task(read_task(folder), folder)
    except HeadCTError as error:
        write_whole(folder / ERROR, json.dumps(error.to_json()).encode())
        logger.info("refused: %s", error.code)  # the sentence may name a study, which a log must not
        return REFUSED
    logger.info("%s %s on %d corrections, %d held out", result.version, result.outcome, result.counts["trained"], result.counts["held_out"])
    return 0


def read_task(folder: Path) -> FineTuneTask:
    """The task in a folder. Raises InvalidRequest `invalid_task`."""
    try:
        return FineTuneTask.model_validate_json((folder / TASK).read_bytes())
    except (OSError, ValidationError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InvalidRequest("invalid_task", f"{folder / TASK} is no fine-tuning task: {problem}.", field="folder") from None


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
