"""Which studies there are, where their images lie, and notes on them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql

from .clock import now
from .database import REGISTRATION, Database, alone, inserting
from .patients import PatientKeys, checked_patient, patient_digest
from .tables import STUDIES

_T = TypeVar("_T")
PATIENT = "patient"  # the note that is not kept as it is
_BATCH = 1000  # studies of one transaction, between which readers' submissions find their turn; SQLite takes 32,766 values
_IMAGES = (STUDIES.c.study, STUDIES.c.path, STUDIES.c.format)


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
        self._patients = PatientKeys(database)

    def register(self, found: Iterable[StudyImages]) -> int:
        """Notes where the images of studies lie, new ones and known ones, and that they are there; how many were not there before.

        Only what changed is written, so that a restarted server reads through its studies and writes none.
        """
        added = 0
        for part in _parts(found):
            by_study = {images.study: images for images in part}
            with self._database.writing() as connection:
                alone(connection, REGISTRATION)
                rows = connection.execute(select(*_IMAGES, STUDIES.c.present).where(STUDIES.c.study.in_(by_study)))
                known = {row.study: (StudyImages(row.study, row.path, row.format), row.present) for row in rows}
                changed = [images for study, images in by_study.items() if known.get(study) != (images, True)]
                if changed:
                    new = [new_study_row(images.study, self._readers_required, images) for images in changed]
                    upsert_studies(connection, new, ("path", "format", "present"))
            added += sum(study not in known or not known[study][1] for study in by_study)
        return added

    def mark_absent(self, studies: Sequence[str]) -> None:
        """Notes that the images of these studies are no longer there."""
        for part in _parts(studies):
            with self._database.writing() as connection:
                alone(connection, REGISTRATION)
                connection.execute(update(STUDIES).where(STUDIES.c.study.in_(part)).values(present=False))

    def images(self, study: str) -> StudyImages | None:
        """Where the images of a study lie; None for a study that is unknown or whose images are not there."""
        query = select(*_IMAGES).where(STUDIES.c.study == study, STUDIES.c.present)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else StudyImages(*row)

    def registered(self) -> list[StudyImages]:
        """The images of all studies that are there, sorted by id."""
        query = select(*_IMAGES).where(STUDIES.c.present).order_by(STUDIES.c.study)
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
        here = select(func.count()).select_from(STUDIES).where(STUDIES.c.present)
        counts = (here, here.where(STUDIES.c.submissions > 0), here.where(STUDIES.c.is_open))
        with self._database.reading() as connection:
            # One statement, so that the three belong together while others write.
            total, read, still_open = connection.execute(select(*(count.scalar_subquery() for count in counts))).one()
        return {"total": total, "read": read, "open": still_open}

    def content(self, study: str, stamp: str) -> str | None:
        """The hash of a study's images, if they still have the stamp (sizes and times) that they had when they were hashed."""
        query = select(STUDIES.c.content_sha256).where(STUDIES.c.study == study, STUDIES.c.content_stamp == stamp)
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def set_content(self, study: str, content_sha256: str, stamp: str | None = None) -> None:
        """Notes which images a study has, so that a submission finds the probabilities that were shown for it.

        Without a stamp, that of the same content stays.
        """
        query = select(STUDIES.c.content_sha256, STUDIES.c.content_stamp).where(STUDIES.c.study == study)
        with self._database.reading() as connection:
            noted = connection.execute(query).first()
        if noted is not None and noted.content_sha256 == content_sha256 and stamp in (None, noted.content_stamp):
            return
        with self._database.writing() as connection:
            ensure_study(connection, study, self._readers_required)
            values = {"content_sha256": content_sha256, "content_stamp": stamp}
            connection.execute(update(STUDIES).where(STUDIES.c.study == study).values(values))

    def note_stamp(self, study: str, content_sha256: str, stamp: str) -> None:
        """Notes with which stamp the images of a study had this hash, unless a chosen series of it was shown last."""
        shown = STUDIES.c.content_sha256
        free = or_(STUDIES.c.content_stamp.is_not(None), shown.is_(None), shown == content_sha256)
        values = {"content_sha256": content_sha256, "content_stamp": stamp}
        with self._database.writing() as connection:
            connection.execute(update(STUDIES).where(STUDIES.c.study == study, free).values(values))

    def info(self, study: str) -> dict[str, Any]:
        """Free notes on a study (when a strategy offered it, who uploaded it); empty for an unknown study."""
        query = select(STUDIES.c.info).where(STUDIES.c.study == study)
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or {}

    def update_info(self, study: str, info: dict[str, Any]) -> None:
        """Merges notes into those of a study. `patient` among them is the patient's number: only its key is kept, as `patient_key`.

        Raises InvalidRequest `invalid_patient`.
        """
        here, notes = STUDIES.c.study == study, {name: value for name, value in info.items() if name != PATIENT}
        noted = {}
        if PATIENT in info:
            noted["patient_key"] = self._patients.key(patient_digest(checked_patient(info[PATIENT])))
        with self._database.writing() as connection:
            ensure_study(connection, study, self._readers_required)
            before = connection.execute(select(STUDIES.c.info).where(here).with_for_update()).scalar_one()
            connection.execute(update(STUDIES).where(here).values(info={**before, **notes}, **noted))

    def patients(self) -> dict[str, str]:
        """{study: patient's key} of the studies whose patient is known; any other study stands for a patient of its own."""
        query = select(STUDIES.c.study, STUDIES.c.patient_key).where(STUDIES.c.patient_key.is_not(None))
        with self._database.reading() as connection:
            return dict(iter(connection.execute(query)))


def ensure_study(connection: Connection, study: str, readers_required: int) -> None:
    """Adds a study without images where there is none of this id; two transactions at once add one."""
    if connection.execute(select(STUDIES.c.study).where(STUDIES.c.study == study)).first() is None:
        connection.execute(inserting(connection, STUDIES).values(new_study_row(study, readers_required)).on_conflict_do_nothing())


def ensure_studies(connection: Connection, names: Sequence[str], readers_required: int) -> None:
    """Adds studies without images where there are none of these ids, at most as many as one statement takes."""
    known = set(connection.execute(select(STUDIES.c.study).where(STUDIES.c.study.in_(names))).scalars())
    if new := [new_study_row(study, readers_required) for study in names if study not in known]:
        connection.execute(inserting(connection, STUDIES).on_conflict_do_nothing(), new)


def upsert_studies(connection: Connection, rows: list[dict[str, Any]], noted: Sequence[str]) -> None:
    """Adds studies, and changes the `noted` columns of those that are known. All rows have the same columns, and each study comes once.

    PostgreSQL gets one array for each column, which costs it a fraction of one parameter for each value.
    """
    insert = inserting(connection, STUDIES)
    changes: dict[str, Any] = {name: insert.excluded[name] for name in noted}
    if "patient_key" in changes:  # once it is known, images that name no patient do not take it away
        changes["patient_key"] = func.coalesce(insert.excluded["patient_key"], STUDIES.c.patient_key)
    if connection.dialect.name == "sqlite":
        connection.execute(insert.on_conflict_do_update(index_elements=["study"], set_=changes), rows)
        return
    names = list(rows[0])
    arrays = (literal([row[name] for row in rows], postgresql.ARRAY(STUDIES.c[name].type)) for name in names)
    table = func.unnest(*arrays).table_valued(*names).render_derived()
    insert = insert.from_select(names, select(*(table.c[name] for name in names)))
    connection.execute(insert.on_conflict_do_update(index_elements=["study"], set_=changes))


def new_study_row(study: str, readers_required: int, images: StudyImages | None = None) -> dict[str, Any]:
    """The row of a study that nobody has read."""
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
        "patient_key": None,
    }


def _parts(items: Iterable[_T]) -> Iterator[list[_T]]:
    iterator = iter(items)
    while part := list(islice(iterator, _BATCH)):
        yield part
