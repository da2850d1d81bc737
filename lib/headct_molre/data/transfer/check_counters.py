"""The counters of studies, which lists read and which follow from the submissions: are they right, and making them right."""

from __future__ import annotations

from sqlalchemy import Connection, Row, Select, case, func, or_, select, update

from ..store.database import Database
from ..store.studies import ensure_studies
from ..store.tables import STUDIES, SUBMISSIONS
from .check_report import StoreReport

REPAIRED = 500  # studies of one transaction


def check_counters(connection: Connection, report: StoreReport) -> None:
    """Notes studies whose counters are wrong, and submissions whose study is not registered."""
    wrong = [row.study for row in connection.execute(_wrong())]
    report.note("wrong_counters", "studies count their submissions or readers wrongly", wrong, repairable=True)
    unknown = list(connection.execute(_unregistered()).scalars())
    report.note("unregistered_studies", "studies have submissions and are not registered", unknown, repairable=True)


def repair_counters(database: Database) -> int:
    """Registers studies that only submissions name and computes wrong counters again; how many studies. Raises StoreUnavailable."""
    repaired = 0
    while True:
        with database.writing() as connection:
            unknown = list(connection.execute(_unregistered().limit(REPAIRED)).scalars())
            ensure_studies(connection, sorted(unknown), 1)
            names = sorted(row.study for row in connection.execute(_wrong().limit(REPAIRED)))
            if not names and not unknown:
                return repaired
            locked = select(STUDIES.c.study).where(STUDIES.c.study.in_(names)).order_by(STUDIES.c.study).with_for_update()
            connection.execute(locked).all()
            for row in connection.execute(_wrong().where(STUDIES.c.study.in_(names))).all():
                connection.execute(update(STUDIES).where(STUDIES.c.study == row.study).values(_right(row)))
            repaired += len({*unknown, *names})


def _wrong() -> Select:
    """Studies whose counters are not those of their submissions, with what they should be."""
    since = case((SUBMISSIONS.c.sequence > STUDIES.c.reopened_after, SUBMISSIONS.c.reader))
    counted = (
        select(STUDIES.c.study, func.count(SUBMISSIONS.c.sequence).label("submissions"), func.count(since.distinct()).label("readings"))
        .outerjoin(SUBMISSIONS, SUBMISSIONS.c.study == STUDIES.c.study)
        .group_by(STUDIES.c.study)
        .subquery()
    )
    return (
        select(STUDIES.c.study, STUDIES.c.readers_required, counted.c.submissions, counted.c.readings)
        .join(counted, counted.c.study == STUDIES.c.study)
        .where(
            or_(
                STUDIES.c.submissions != counted.c.submissions,
                STUDIES.c.readings != counted.c.readings,
                STUDIES.c.is_open != (counted.c.readings < STUDIES.c.readers_required),
            )
        )
        .order_by(STUDIES.c.study)
    )


def _right(row: Row) -> dict[str, int | bool]:
    return {"submissions": row.submissions, "readings": row.readings, "is_open": row.readings < row.readers_required}


def _unregistered() -> Select:
    known = select(STUDIES.c.study).where(STUDIES.c.study == SUBMISSIONS.c.study).exists()
    return select(SUBMISSIONS.c.study).where(~known).distinct().order_by(SUBMISSIONS.c.study)
