"""The folder of a training job, through which the server and the process that trains speak to each other."""

import codecs
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headct_molre.errors import HeadCTError, InvalidRequest
from headct_molre.output import written_whole
from headct_molre.training.finetune import FineTuneProgress, FineTuneResult, FineTuneTask
from headct_molre.training.finetune.job_files import CHECKPOINT, CHOICE, ERROR, INPUTS, LOG, PROGRESS, RESULT, TASK

MARK = "process"  # names the process that works here
LOG_BYTES = 64_000  # of one answer
_LAST_BYTES = 8_000


@dataclass(frozen=True)
class JobFolder:
    """One folder; only the server's user may look into it, since the store's URL may hold a password."""

    path: Path

    @property
    def log(self) -> Path:
        """Standard output and standard error of the process."""
        return self.path / LOG

    @property
    def mark(self) -> Path:
        """The file that names the process."""
        return self.path / MARK

    def write_task(self, task: FineTuneTask) -> None:
        """What is to be done; written before the process starts."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)  # one that was there already
        with written_whole(self.path / TASK) as partial:
            partial.write_text(task.model_dump_json(by_alias=True, indent=1), encoding="utf-8")

    def has_task(self) -> bool:
        """Whether it was written."""
        return (self.path / TASK).is_file()

    def progress(self) -> FineTuneProgress | None:
        """Where the process stands; None before its first word, and where it says what nobody understands."""
        return self._document(FineTuneProgress, PROGRESS)

    def result(self) -> FineTuneResult | None:
        """What it made, None while it has made nothing."""
        return self._document(FineTuneResult, RESULT)

    def error(self) -> HeadCTError | None:
        """Why it refused."""
        try:
            error = json.loads((self.path / ERROR).read_bytes())
            return HeadCTError(str(error["code"]), str(error["message"]), field=error.get("field"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def log_after(self, offset: int) -> tuple[str, int]:
        """A part of the log from a place in bytes on, and the place where the next part begins. Raises InvalidRequest."""
        try:
            with self.log.open("rb") as file:
                if offset > file.seek(0, os.SEEK_END):
                    raise InvalidRequest("invalid_offset", "The log is not as long as that.", field="after")
                file.seek(offset)
                content = file.read(LOG_BYTES)
        except FileNotFoundError:
            return "", offset
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(content)
        return text, offset + len(content) - len(decoder.getstate()[0])  # a character that is cut in two comes with the next part

    def last_lines(self, count: int = 20) -> list[str]:
        """The end of the log, as MONAI Label's clients show it."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
                return file.read().decode("utf-8", "replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def drop_checkpoint(self) -> None:
        """Removes what only a process that goes on would need."""
        for name in (CHECKPOINT, CHOICE, INPUTS):
            (self.path / name).unlink(missing_ok=True)

    def _document(self, kind: Any, name: str) -> Any:
        try:
            return kind.model_validate_json((self.path / name).read_bytes())
        except (OSError, ValidationError):
            return None
