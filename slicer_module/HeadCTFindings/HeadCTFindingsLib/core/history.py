"""Earlier submissions on a study, by reader: what a second reader may see, and what they may not see yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .calls import PRESENT, STATES, UNCERTAIN
from .catalogue import Catalogue
from .errors import NotReadable


@dataclass(frozen=True)
class Reading:
    """One submission. `hidden` where its calls would bias a reader who has not submitted yet: then it has none."""

    submission_id: str
    reader: str
    at: str
    findings: dict[str, str]
    comment: str
    model: str
    seconds_spent: float | None
    hidden: bool

    def text(self, catalogue: Catalogue) -> str:
        """One line for the list."""
        when = self.at[:16].replace("T", " ")
        if self.hidden:
            return f"{when} {self.reader}: shown after you have submitted your own reading"
        named = [
            catalogue.name(key) + (" (uncertain)" if state == UNCERTAIN else "")
            for key, state in self.findings.items()
            if state in (PRESENT, UNCERTAIN)
        ]
        absent = sum(state not in (PRESENT, UNCERTAIN) for state in self.findings.values())
        parts = [", ".join(named)] if named else []
        parts += [f"{absent} reviewed absent"] if absent else []
        return f"{when} {self.reader}: {'; '.join(parts)}" + (f" · {self.comment}" if self.comment else "")


def readings(records: Any, reader: str) -> tuple[Reading, ...]:
    """The records of `Client.submissions` as this reader may see them, the newest first.

    Others' calls and comments come only after one's own submission, so that two readings stay two opinions. Raises NotReadable.
    """
    try:
        own = any(record["submission"]["reader"] == reader for record in records)
        found = [_reading(record, hidden=not own and record["submission"]["reader"] != reader) for record in records]
    except (KeyError, TypeError, AttributeError) as error:
        raise NotReadable(f"the list of submissions is not as it should be: {error}") from None
    return tuple(reversed(found))


def by_reader(found: Iterable[Reading]) -> dict[str, tuple[Reading, ...]]:
    """The readings of each reader, in the order of their newest."""
    grouped: dict[str, tuple[Reading, ...]] = {}
    for reading in found:
        grouped[reading.reader] = (*grouped.get(reading.reader, ()), reading)
    return grouped


def latest_of(found: Iterable[Reading], reader: str) -> Reading | None:
    """The newest reading of a reader, from which a correction goes on."""
    return next((reading for reading in found if reading.reader == reader), None)


def _reading(record: Any, hidden: bool) -> Reading:
    submission = record["submission"]
    model = submission.get("model") or {}
    findings = {key: state for key, state in submission["findings"].items() if state in STATES}
    return Reading(
        submission_id=str(submission["submission_id"]),
        reader=str(submission["reader"]),
        at=str(record["received_at"]),
        findings={} if hidden else findings,
        comment="" if hidden else str(submission.get("comment") or ""),
        model=f"{model['name']} {model['version']}" if model else "",
        seconds_spent=submission.get("seconds_spent"),
        hidden=hidden,
    )
