"""What changed in the store since somebody looked last: what selection needs, so that no request lists all studies."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Column, func, select

from .database import Database
from .offers import REOPENED, REQUIRED
from .reading_history import EVERY_STUDY, Reading
from .tables import READING_EVENTS, STUDIES, SUBMISSIONS

_PART = 5000  # values of one statement; SQLite takes 32,766


@dataclass(frozen=True)
class Seen:
    """Sequences of the last submission and the last reading event that were looked at."""

    submission: int = 0
    event: int = 0


@dataclass(frozen=True)
class Changes:
    """What came after: readings in order of arrival, and studies that may need other readers than before; None stands for all studies."""

    seen: Seen
    readings: list[Reading]
    reopened: set[str] | None


@dataclass(frozen=True)
class OpenStudy:
    """A study, the hash of the images that it was shown with last, and whether it can be offered."""

    study: str
    content: str | None
    is_open: bool


class ChangeFeed:
    """Each method raises StoreUnavailable. `beginning` is before the first reading."""

    beginning = Seen()

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, seen: Seen) -> Changes:
        """Readings and events that arrived after `seen`."""
        submissions, events = SUBMISSIONS.c, READING_EVENTS.c
        columns = submissions.sequence, submissions.study, submissions.reader, submissions.document
        arrived = select(*columns).where(submissions.sequence > seen.submission).order_by(submissions.sequence)
        happened = select(events.study).where(events.sequence > seen.event, events.kind.in_((REOPENED, REQUIRED)))
        with self._database.reading() as connection:
            last = connection.execute(select(func.coalesce(func.max(events.sequence), 0))).scalar_one()
            reopened = set(connection.execute(happened.where(events.sequence <= last)).scalars()) if last > seen.event else set()
            rows = connection.execute(arrived).all()
        readings = [Reading(row.study, row.reader, json.loads(row.document)["findings"]) for row in rows]
        now_seen = Seen(rows[-1].sequence if rows else seen.submission, last)
        return Changes(now_seen, readings, None if EVERY_STUDY in reopened else reopened)

    def studies(self, names: Collection[str]) -> list[OpenStudy]:
        """How studies of these names are now."""
        return self._states(STUDIES.c.study, list(names))

    def with_contents(self, contents: Collection[str]) -> list[OpenStudy]:
        """The studies that were shown with images of these hashes."""
        return self._states(STUDIES.c.content_sha256, list(contents))

    def open_studies(self) -> list[OpenStudy]:
        """All studies that can be offered."""
        query = select(STUDIES.c.study, STUDIES.c.content_sha256).where(STUDIES.c.present, STUDIES.c.is_open)
        with self._database.reading() as connection:
            return [OpenStudy(study, content, True) for study, content in connection.execute(query)]

    def _states(self, column: Column[str], values: list[str]) -> list[OpenStudy]:
        query = select(STUDIES.c.study, STUDIES.c.content_sha256, STUDIES.c.present, STUDIES.c.is_open)
        found: list[OpenStudy] = []
        for start in range(0, len(values), _PART):
            with self._database.reading() as connection:
                rows = connection.execute(query.where(column.in_(values[start : start + _PART]))).all()
            found += [OpenStudy(row.study, row.content_sha256, bool(row.present and row.is_open)) for row in rows]
        return found
