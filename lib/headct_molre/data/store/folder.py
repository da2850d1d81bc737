"""The registry as the studies folder sees it: which path is which study, so that an id never changes because another file appears."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, select, update

from ...errors import InvalidRequest
from .database import REGISTRATION, Database, alone
from .patients import PatientKeys
from .studies import StudyImages, new_study_row, upsert_studies
from .tables import STUDIES

_BATCH = 200  # studies of one transaction; one with many would hold up submissions
_NOTED = ("path", "format", "fingerprint", "present", "patient_key")


class FolderImages(NamedTuple):
    """Images that were found: `path` inside the folder with / as separator; `patient` as `patient_digest` gives it."""

    path: str
    format: str
    fingerprint: str | None
    is_folder: bool = False
    patient: str | None = None


class FolderStudy(NamedTuple):
    """A registered study: where its images lie, or lay before they went away, and whether its patient is noted."""

    study: str
    path: str
    format: str | None
    fingerprint: str | None
    present: bool
    has_patient: bool = False


class FolderRegistry:
    """Writes in small transactions; several servers may look through one folder."""

    def __init__(self, database: Database, readers_required: int) -> None:
        self._database = database
        self._readers_required = readers_required
        self._patients = PatientKeys(database)

    def studies(self) -> list[FolderStudy]:
        """All studies that have, or had, images; sorted by id."""
        table = STUDIES.c
        query = select(table.study, table.path, table.format, table.fingerprint, table.present, table.patient_key.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(query.where(table.path.is_not(None)).order_by(table.study)).all()
        return [FolderStudy(*row) for row in rows]

    def images(self, study: str) -> StudyImages | None:
        """Where the images of a study lie; None for a study that is unknown or whose images are not there."""
        table = STUDIES.c
        query = select(table.study, table.path, table.format).where(table.study == study, table.present, table.path.is_not(None))
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else StudyImages(*row)

    def add(self, found: Iterable[tuple[FolderImages, tuple[str, ...]]]) -> list[StudyImages]:
        """Registers images that are not registered; at a new path they get the first of the names beside them that is free.

        A name is free where no study has it, or one that never had images: labels may be imported before the images come.
        """
        added: list[StudyImages] = []
        iterator = iter(found)
        while part := list(islice(iterator, _BATCH)):
            self._patients.key(next((images.patient for images, _ in part if images.patient), None))  # its secret, before the transaction
            with self._database.writing() as connection:
                alone(connection, REGISTRATION)
                added += self._add(connection, part)
        return added

    def move(self, moved: Sequence[tuple[str, FolderImages]]) -> None:
        """Notes where the images of known studies are now, and that they are there."""
        values: dict[str, Any] = {column: bindparam(f"new_{column}") for column in _NOTED}
        values["patient_key"] = func.coalesce(bindparam("new_patient_key", type_=STUDIES.c.patient_key.type), STUDIES.c.patient_key)
        statement = update(STUDIES).where(STUDIES.c.study == bindparam("key")).values(values)
        for start in range(0, len(moved), _BATCH):
            part = moved[start : start + _BATCH]
            rows = [{"key": study, **{f"new_{column}": value for column, value in self._columns(images).items()}} for study, images in part]
            with self._database.writing() as connection:
                alone(connection, REGISTRATION)
                connection.execute(statement, rows)

    def remove(self, gone: Sequence[FolderStudy]) -> None:
        """Notes that the images of these studies are no longer there, unless they came back at another path meanwhile."""
        here = and_(STUDIES.c.study == bindparam("key"), STUDIES.c.path == bindparam("at"))
        for start in range(0, len(gone), _BATCH):
            rows = [{"key": study.study, "at": study.path} for study in gone[start : start + _BATCH]]
            with self._database.writing() as connection:
                alone(connection, REGISTRATION)
                connection.execute(update(STUDIES).where(here).values(present=False), rows)

    def claim(self, study: str, images: FolderImages, place: Callable[[], None]) -> None:
        """Registers an upload under this id, and calls `place` for the images to take their path; others with the id wait for it.

        Raises InvalidRequest `study_exists` where the id has images.
        """
        row = self._row(study, images)
        with self._database.writing() as connection:
            alone(connection, REGISTRATION)
            known = connection.execute(select(STUDIES.c.present).where(STUDIES.c.study == study).with_for_update()).first()
            if known is not None and known.present:
                raise InvalidRequest("study_exists", "There is a study with this id already.", field="study", status=409)
            place()
            upsert_studies(connection, [row], _NOTED)

    def _add(self, connection: Connection, part: list[tuple[FolderImages, tuple[str, ...]]]) -> list[StudyImages]:
        at = select(STUDIES.c.path, STUDIES.c.study, STUDIES.c.present).where(STUDIES.c.path.in_([images.path for images, _ in part]))
        # By another server, by an upload, or before the images went away for a while.
        registered = {row.path: row for row in connection.execute(at)}
        wanted = {name for _, names in part for name in names}
        rows = connection.execute(select(STUDIES.c.study, STUDIES.c.path).where(STUDIES.c.study.in_(wanted))).all()
        known = dict(iter(rows))
        added, new = [], []
        for images, names in part:
            if images.path in registered:
                here = registered[images.path]
                if not here.present:
                    new.append(self._row(here.study, images))
                    added.append(StudyImages(here.study, images.path, images.format))
                continue
            study = next((name for name in names if known.get(name) is None), None)
            if study is None:
                continue  # the last name is a hash of the path: never taken by another one
            new.append(self._row(study, images))
            known[study] = images.path
            added.append(StudyImages(study, images.path, images.format))
        if new:
            # A reader may submit on a study in the moment in which its images are registered, and so make its row.
            upsert_studies(connection, new, _NOTED)
        return added

    def _row(self, study: str, images: FolderImages) -> dict[str, Any]:
        return {**new_study_row(study, self._readers_required), **self._columns(images)}

    def _columns(self, images: FolderImages) -> dict[str, object]:
        patient = self._patients.key(images.patient)
        return {"path": images.path, "format": images.format, "fingerprint": images.fingerprint, "present": True, "patient_key": patient}
