"""Every call on the disk of this computer before anything else happens to it, so that a crash of Slicer or a lost server loses none.

One file of lines for each study of each server and reader, only ever added to. It ends when its calls were handed to the outbox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .calls import SCHEMA, Calls
from .files import append_json, private_folder, read_lines

SUFFIX = ".calls.jsonl"


@dataclass(frozen=True)
class Draft:
    """Calls that were made and never submitted, as a crash left them; `seconds` were spent on them."""

    server: str
    study: str
    reader: str
    at: str
    findings: dict[str, str]
    comment: str
    seconds: float

    @property
    def text(self) -> str:
        """For the list of what can be taken up again."""
        count = len(self.findings)
        return f"{self.study}: {count} {'call' if count == 1 else 'calls'} not submitted, last at {self.at}"


class Journal:
    """The journal in one folder of this computer."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def open(self, server: str, study: str, reader: str) -> StudyJournal:
        """The journal of one study; nothing is written before the first call."""
        name = hashlib.sha256("\0".join((server, study, reader)).encode()).hexdigest()[:24]
        return StudyJournal(self._folder / f"{name}{SUFFIX}", server, study, reader)

    def drafts(self, server: str | None = None, reader: str | None = None) -> tuple[Draft, ...]:
        """What was called and not submitted, of one server and reader or of all, the newest first."""
        found = [draft for path in self._folder.glob(f"*{SUFFIX}") if (draft := _draft(read_lines(path))) is not None]
        wanted = [draft for draft in found if server in (None, draft.server) and reader in (None, draft.reader)]
        return tuple(sorted(wanted, key=lambda draft: draft.at, reverse=True))


class StudyJournal:
    """The calls of one reader on one study of one server."""

    def __init__(self, path: Path, server: str, study: str, reader: str) -> None:
        self._path = path
        self._head = {"server": server, "study": study, "reader": reader}

    def note(self, calls: Calls) -> None:
        """Adds all calls as they are now. Raises OSError where the disk does not take them, which the person has to know.

        All and not only the last: a submission takes the place of the reader's one before, so a draft that goes on from that has to be
        whole as well.
        """
        self._add({"findings": calls.called, "comment": calls.comment})

    def note_comment(self, comment: str) -> None:
        """Adds the comment as it is now."""
        self._add({"comment": comment})

    def note_seconds(self, seconds: float) -> None:
        """Adds the time spent so far."""
        self._add({"seconds": round(seconds, 1)})

    def draft(self) -> Draft | None:
        """What this study's journal holds that was not submitted."""
        return _draft(read_lines(self._path))

    def restore(self, keys: Iterable[str]) -> Calls | None:
        """The calls as they were before a crash, not yet undoable; None where there are none."""
        draft = self.draft()
        if draft is None:
            return None
        nothing = {"findings": {}, "comment": ""}
        return Calls.from_json({"schema": SCHEMA, "findings": draft.findings, "comment": draft.comment, "submitted": nothing}, keys)

    def close(self, submission_id: str) -> None:
        """The calls are in the outbox, under this id: what follows begins anew."""
        if self._path.exists():
            self._add({"submitted": submission_id})
            self._path.unlink(missing_ok=True)

    def discard(self) -> None:
        """The person does not want the draft."""
        self._path.unlink(missing_ok=True)

    def _add(self, what: dict[str, Any]) -> None:
        append_json(self._path, {**self._head, "at": datetime.now(UTC).isoformat(timespec="seconds"), **what})


def _draft(lines: list[dict[str, Any]]) -> Draft | None:
    states: dict[str, str] = {}
    comment, seconds, last = "", 0.0, None
    for line in lines:
        if "submitted" in line:  # a crash came between this line and the removal of the file
            states, comment, seconds = {}, "", 0.0
            continue
        last = line
        states = dict(line.get("findings", states))
        comment = str(line.get("comment", comment))
        seconds = float(line.get("seconds", seconds))
    if last is None or not (states or comment):
        return None
    return Draft(str(last["server"]), str(last["study"]), str(last["reader"]), str(last["at"]), states, comment, seconds)
