"""Who served which version, and when: a file of lines that is only ever added to.

An operation is written down before the alias moves. A process that is killed in between leaves a line that nothing followed, which the next
one recognises by the alias and marks as undone; so the file never says what was not served.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ..schema import Contract

HISTORY = "history.jsonl"
Action = Literal["promoted", "rolled_back", "undone", "found"]


class Event(Contract):
    """One change of the champion, from the version `before` to the version `after`.

    "undone": the event above it never came to pass. "found": the alias was moved by other means. `gate` is what the gate had said of the
    version, and `reason` what the person gave.
    """

    at: str
    who: str
    action: Action
    before: str | None
    after: str | None
    gate: str = ""
    reason: str = ""


def read_history(folder: Path) -> list[Event]:
    """All events of a model's folder, the oldest first; a line that a failing disk cut off is passed over."""
    try:
        lines = (folder / HISTORY).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    events = []
    for line in lines:
        try:
            events.append(Event.model_validate_json(line))
        except ValidationError:
            continue
    return events


def new_event(action: Action, before: str | None, after: str | None, who: str, gate: str = "", reason: str = "") -> Event:
    """An event of now."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Event(at=at, who=who, action=action, before=before, after=after, gate=gate, reason=reason)


def append(folder: Path, event: Event) -> None:
    """Add an event, on the disk when this returns; the caller holds the folder's lock."""
    line = event.model_dump_json().encode() + b"\n"
    with (folder / HISTORY).open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def settled(folder: Path, served: str | None) -> list[Event]:
    """The history, made to end at the version that is `served`; the caller holds the folder's lock."""
    events = read_history(folder)
    if events and _now(events) != served:
        last = events[-1]
        cut_off = last.action in ("promoted", "rolled_back") and last.before == served
        event = new_event("undone" if cut_off else "found", last.after, served, last.who if cut_off else "")
        append(folder, event)
        events.append(event)
    return events


def champions(events: Sequence[Event]) -> list[str | None]:
    """The versions that a rollback goes back through, the present one last."""
    line: list[str | None] = [events[0].before] if events else []
    before_last = list(line)
    for event in events:
        if event.action == "undone":
            line = before_last
            continue
        before_last = list(line)
        line = line[:-1] if event.action == "rolled_back" else [*line, event.after]
    return line


def _now(events: Sequence[Event]) -> str | None:
    return events[-1].after
