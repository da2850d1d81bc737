"""The list of studies, page by page, as a client shows it."""

from __future__ import annotations

from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, func, select, true

from ...schema import Contract
from .database import Database
from .tables import PREDICTIONS, STUDIES

# open: another reader is needed; done: none is; unread, read: without or with a submission; absent: the images went away.
StudyFilter = Literal["open", "done", "unread", "read", "absent"]
STUDY_FILTERS: tuple[str, ...] = get_args(StudyFilter)


class StudySummary(Contract):
    """One study: the format of its images (null where none were ever there), and how far its readings are."""

    study: str
    format: str | None
    submissions: int
    readings: int
    readers_required: int
    open: bool
    present: bool


class StudyList:
    """Reads single rows by the order of their ids, so that a page costs the same wherever it lies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, after: str = "", limit: int = 1000, state: StudyFilter | None = None) -> list[StudySummary]:
        """Up to `limit` studies whose ids follow `after`, sorted; without `state` those whose images are there."""
        query = _SUMMARY.where(STUDIES.c.study > after, _condition(state)).order_by(STUDIES.c.study).limit(limit)
        with self._database.reading() as connection:
            return [StudySummary(**row) for row in connection.execute(query).mappings()]

    def images(self) -> list[tuple[str, str, dict[str, Any], int]]:
        """(study, path of its images, notes, submissions) of all studies whose images are there, sorted by id."""
        columns = STUDIES.c.study, STUDIES.c.path, STUDIES.c.info, STUDIES.c.submissions
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).where(STUDIES.c.present).order_by(STUDIES.c.study)).all()
        return [(row[0], row[1] or "", row[2], row[3]) for row in rows]

    def predicted(self) -> list[str]:
        """Sorted ids of the studies whose images are there and have a stored prediction."""
        stored = select(PREDICTIONS.c.content_sha256).where(PREDICTIONS.c.content_sha256 == STUDIES.c.content_sha256).exists()
        with self._database.reading() as connection:
            return list(connection.execute(select(STUDIES.c.study).where(STUDIES.c.present, stored).order_by(STUDIES.c.study)).scalars())

    def count(self, state: StudyFilter | None = None) -> int:
        """How many studies all pages together have."""
        query = select(func.count()).select_from(STUDIES).where(_condition(state))
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def one(self, study: str) -> StudySummary | None:
        """A study, whether its images are there or not; None where nothing is known of it."""
        with self._database.reading() as connection:
            row = connection.execute(_SUMMARY.where(STUDIES.c.study == study)).mappings().first()
        return None if row is None else StudySummary(**row)


_SUMMARY = select(
    STUDIES.c.study,
    STUDIES.c.format,
    STUDIES.c.submissions,
    STUDIES.c.readings,
    STUDIES.c.readers_required,
    STUDIES.c.is_open.label("open"),
    STUDIES.c.present,
)


def _condition(state: StudyFilter | None) -> ColumnElement[bool]:
    if state == "absent":
        return ~STUDIES.c.present
    wanted = {
        "open": STUDIES.c.is_open,
        "done": ~STUDIES.c.is_open,
        "unread": STUDIES.c.submissions == 0,
        "read": STUDIES.c.submissions > 0,
    }
    return STUDIES.c.present & (true() if state is None else wanted[state])
