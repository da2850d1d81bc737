"""A reader's calls as the document that the server stores, and the time that they took."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from . import CLIENT
from .calls import MOST_COMMENT, Calls
from .prediction import PredictionView

SCHEMA = "headct.submission/1"
# Nobody reads one study for longer without a touch; the reader has gone to do something else.
IDLE_S = 120.0


def submission(
    calls: Calls,
    study: str,
    reader: str,
    view: PredictionView | None = None,
    seconds_spent: float | None = None,
) -> dict[str, Any]:
    """The document (`headct.submission/1`) with a new UUID; `view` is what was on the screen, None where the model was not shown.

    Raises ValueError, for the person to read, where there is no call, no reader, or too long a comment.
    """
    if not calls.called:
        raise ValueError("There is no call to submit. Mark at least one finding as present, uncertain or absent.")
    if not reader.strip():
        raise ValueError("Enter the reader's name: the server keeps readers apart by it.")
    if len(calls.comment) > MOST_COMMENT:
        raise ValueError(f"The comment has {len(calls.comment)} characters; the server takes {MOST_COMMENT}.")
    return {
        "schema": SCHEMA,
        "submission_id": str(uuid.uuid4()),
        "study": study,
        "reader": reader.strip(),
        "model": None if view is None else {"name": view.model, "version": view.version},
        "findings": calls.called,
        "comment": calls.comment,
        "seconds_spent": None if seconds_spent is None else round(max(seconds_spent, 0.0), 1),
        "client": CLIENT,
    }


class Stopwatch:
    """Seconds spent on a study; a long time without a touch counts as `idle_s` only."""

    def __init__(self, idle_s: float = IDLE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle_s = idle_s
        self._clock = clock
        self._spent = 0.0
        self._since: float | None = None

    def touch(self) -> None:
        """The person does something with the study: scrolls, calls, types."""
        self._spent, self._since = self.seconds, self._clock()

    def pause(self) -> None:
        """The person has left the module."""
        self._spent, self._since = self.seconds, None

    def reset(self) -> None:
        """Another study."""
        self._spent, self._since = 0.0, None

    @property
    def seconds(self) -> float:
        """So far."""
        running = 0.0 if self._since is None else min(self._clock() - self._since, self._idle_s)
        return self._spent + running
