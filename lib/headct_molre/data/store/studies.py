"""Which studies there are, where their images lie, and notes on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, func, insert, select, update

from .clock import now
from .database import Database
from .tables import STUDIES

_T = TypeVar("_T")
_BATCH = 500  # rows of one statement; SQLite takes 32,766 values


@dataclass(frozen=True)
class StudyImages:
    """Where the images of a study lie: `path` inside the studies folder with / as separator, and the name of their format."""

    study: str
    path: str
    format: str


class Studies:
    """The registry of studies. A study whose images went away stays, with what readers said about it."""

    def __init__(self, database: Database, readers_required: int) -> None:
        self._database = database
        self._readers_required = readers_required

    def register(self, found: Iterable[StudyImages]) -> int:
        """Notes where the images of studies lie, new ones and known ones, and that they are there; how many were not there before."""
        added = 0
        for part in _parts(found):
            with self._database.writing() as connection:
                names = [images.study for images in part]
                rows = connection.execute(select(STUDIES.c.study, STUDIES.c.present).where(STUDIES.c.study.in_(names))).all()
                known = dict(iter(rows))
                new = [_new_row(images.study, self._readers_required, images) for images in part if images.study not in known]
                if new:
                    connection.execute(insert(STUDIES), new)
                for images in part:
                    if images.study in known:
                        here = STUDIES.c.study == images.study
                        connection.execute(update(STUDIES).where(here).values(path=images.path, format=images.format, present=True))
                added += sum(not known.get(images.study, False) for images in part)
        return added

    def mark_absent(self, studies: Sequence[str]) -> None:
        """Notes that the images of these studies are no longer there."""
        for part in _parts(studies):
            with self._database.writing() as connection:
                connection.execute(update(STUDIES).where(STUDIES.c.study.in_(part)).values(present=False))

    def images(self, study: str) -> StudyImages | None:
        """Where the images of a study lie; None for a study that is unknown or whose images are not there."""
        query = select(STUDIES.c.study, STUDIES.c.path, STUDIES.c.format).where(STUDIES.c.study == study, STUDIES.c.present)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else StudyImages(*row)

    def registered(self) -> list[StudyImages]:
        """The images of all studies that are there, sorted by id."""
        query = select(STUDIES.c.study, STUDIES.c.path, STUDIES.c.format).where(STUDIES.c.present).order_by(STUDIES.c.study)
        with self._database.reading() as connection:
            return [StudyImages(*row) for row in connection.execute(query)]

    def ids(self, read: bool | None = None) -> list[str]:
        """Sorted ids of the studies whose images are there; `read` keeps those with, or without, a submission."""
        query = select(STUDIES.c.study).where(STUDIES.c.present).order_by(STUDIES.c.study)
        if read is not None:
            query = query.where(STUDIES.c.submissions > 0 if read else STUDIES.c.submissions == 0)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def totals(self) -> dict[str, int]:
        """{total, read, open}: studies whose images are there, those with a submission, those that still need a reader."""
        with self._database.reading() as connection:
            here = select(func.count()).select_from(STUDIES).where(STUDIES.c.present)
            total, read, still_open = (
                connection.execute(query).scalar_one()
                for query in (here, here.where(STUDIES.c.submissions > 0), here.where(STUDIES.c.is_open))
            )
        return {"total": total, "read": read, "open": still_open}

    def content(self, study: str, stamp: str) -> str | None:
        """The hash of a study's images, if they still have the stamp (sizes and times) that they had when they were hashed."""
        query = select(STUDIES.c.content_sha256).where(STUDIES.c.study == study, STUDIES.c.content_stamp == stamp)
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def set_content(self, study: str, content_sha256: str, stamp: str | None = None) -> None:
        """Notes which images a study has, so that a submission finds the probabilities that were shown for it."""
        with self._database.writing() as connection:
            ensure_study(connection, study, self._readers_required)
            values = {"content_sha256": content_sha256, "content_stamp": stamp}
            connection.execute(update(STUDIES).where(STUDIES.c.study == study).values(values))

    def info(self, study: str) -> dict[str, Any]:
        """Free notes on a study (when a strategy offered it, who uploaded it); empty for an unknown study."""
        query = select(STUDIES.c.info).where(STUDIES.c.study == study)
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or {}

    def update_info(self, study: str, info: dict[str, Any]) -> None:
        """Merges notes into those of a study."""
        self._change_info(study, lambda before: {**before, **info})

    def note_offer(self, study: str, strategy: str, offer: dict[str, Any]) -> dict[str, Any]:
        """Notes when a strategy offered a study to whom; returns all notes on the study."""
        return self._change_info(study, lambda before: {**before, "strategy": {**before.get("strategy", {}), strategy: offer}})

    def _change_info(self, study: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        here = STUDIES.c.study == study
        with self._database.writing() as connection:
            ensure_study(connection, study, self._readers_required)
            info = change(connection.execute(select(STUDIES.c.info).where(here).with_for_update()).scalar_one())
            connection.execute(update(STUDIES).where(here).values(info=info))
        return info


def ensure_study(connection: Connection, study: str, readers_required: int) -> None:
    """Adds a study without images where there is none of this id; two transactions at once add one."""
    if connection.execute(select(STUDIES.c.study).where(STUDIES.c.study == study)).first() is None:
        insert_ignoring(connection, [_new_row(study, readers_required)])


def ensure_studies(connection: Connection, names: Sequence[str], readers_required: int) -> None:
    """Adds studies without images where there are none of these ids, at most as many as one statement takes."""
    known = set(connection.execute(select(STUDIES.c.study).where(STUDIES.c.study.in_(names))).scalars())
    if new := [_new_row(study, readers_required) for study in names if study not in known]:
        insert_ignoring(connection, new)


def insert_ignoring(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """INSERT ... ON CONFLICT DO NOTHING, which both databases have under the same name."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as dialect_insert
    else:
        from sqlalchemy.dialects.postgresql import insert as dialect_insert  # type: ignore[assignment]
    connection.execute(dialect_insert(STUDIES).on_conflict_do_nothing(), rows)


def _new_row(study: str, readers_required: int, images: StudyImages | None = None) -> dict[str, Any]:
    return {
        "study": study,
        "added_at": now(),
        "info": {},
        "path": None if images is None else images.path,
        "format": None if images is None else images.format,
        "present": images is not None,
        "shuffle": random.random(),
        "readers_required": readers_required,
        "readings": 0,
        "submissions": 0,
        "is_open": True,
        "reopened_after": 0,
    }


def _parts(items: Iterable[_T]) -> Iterator[list[_T]]:
    iterator = iter(items)
    while part := list(islice(iterator, _BATCH)):
        yield part
