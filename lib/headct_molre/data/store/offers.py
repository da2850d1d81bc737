"""Which studies a reader may be offered, and which of them is: conditions on the table of studies, and ways to choose.

What is chosen is locked until the end of the transaction, so that nobody finishes it meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, func, select

from .tables import LEASES, READING_EVENTS, STUDIES, SUBMISSIONS

OFFERED, SKIPPED, REOPENED, REQUIRED = "offered", "skipped", "reopened", "readers_required"  # kinds of reading events
_FIRST = (100, 1000)  # of a list of candidates: how many are looked up before all that are eligible are listed


def wanted_from(reader: str) -> ColumnElement[bool]:
    """The images are there, a reader is still needed, and this one has neither read nor skipped it since it was last reopened."""
    read = exists().where(
        SUBMISSIONS.c.reader == reader, SUBMISSIONS.c.study == STUDIES.c.study, SUBMISSIONS.c.sequence > STUDIES.c.reopened_after
    )
    events = READING_EVENTS
    skipped = select(events.c.study).where(events.c.reader == reader, events.c.kind == SKIPPED, skip_is_in_force(events))
    return and_(STUDIES.c.present, STUDIES.c.is_open, ~read, STUDIES.c.study.not_in(skipped))


def free_for(reader: str, at: datetime) -> ColumnElement[bool]:
    """Not open at this reader, and fewer others are reading it than readings are missing.

    One who corrects a reading of their own takes no room. The leases are looked at once, not once for each study: they are few.
    """
    study = STUDIES.alias()
    counted = exists().where(
        SUBMISSIONS.c.reader == LEASES.c.reader, SUBMISSIONS.c.study == study.c.study, SUBMISSIONS.c.sequence > study.c.reopened_after
    )
    full = (
        select(study.c.study)
        .join(LEASES, LEASES.c.study == study.c.study)
        .where(LEASES.c.expires_at > at, LEASES.c.reader != reader, ~counted.correlate(LEASES, study))
        .group_by(study.c.study, study.c.readers_required, study.c.readings)
        .having(func.count() >= study.c.readers_required - study.c.readings)
    )
    own = select(LEASES.c.study).where(LEASES.c.reader == reader, LEASES.c.expires_at > at)
    return and_(STUDIES.c.study.not_in(full), STUDIES.c.study.not_in(own))


def latest_opened(connection: Connection, reader: str, at: datetime, wanted: ColumnElement[bool]) -> str | None:
    """What the reader opened last of that which they still want."""
    own = select(LEASES.c.study).where(LEASES.c.reader == reader, LEASES.c.expires_at > at).order_by(LEASES.c.taken_at.desc())
    return first_of(connection, wanted, connection.execute(own).scalars().all())


def any_study(connection: Connection, eligible: ColumnElement[bool]) -> str | None:
    """The next one round the circle of random numbers: which has the largest gap before it is itself random."""
    start = random.random()
    for side in (STUDIES.c.shuffle >= start, STUDIES.c.shuffle < start):
        query = select(STUDIES.c.study).where(side, eligible).order_by(STUDIES.c.shuffle).limit(1)
        study = connection.execute(query.with_for_update(of=STUDIES)).scalar()
        if study is not None:
            return study
    return None


def first_by_id(connection: Connection, eligible: ColumnElement[bool]) -> str | None:
    """The first in the order of the ids."""
    query = select(STUDIES.c.study).where(eligible).order_by(STUDIES.c.study).limit(1)
    return connection.execute(query.with_for_update(of=STUDIES)).scalar()


def first_of(connection: Connection, eligible: ColumnElement[bool], candidates: Sequence[str]) -> str | None:
    """The first of the candidates that is eligible."""
    query = select(STUDIES.c.study).where(eligible)
    begin = 0
    for end in (*_FIRST, len(candidates)):
        part = candidates[begin:end]
        among = query if end > _FIRST[-1] else query.where(STUDIES.c.study.in_(part))
        found = set(connection.execute(among).scalars()) if part else set()
        for study in part:
            if study in found:
                locked = connection.execute(query.where(STUDIES.c.study == study).with_for_update(of=STUDIES)).scalar()
                if locked is not None:
                    return study
        begin = max(begin, end)
    return None


def skip_is_in_force(skip: FromClause) -> ColumnElement[bool]:
    """The study of a skip (a row of reading events) has not been reopened since."""
    later = READING_EVENTS.alias()
    return ~exists().where(later.c.study == skip.c.study, later.c.kind == REOPENED, later.c.sequence > skip.c.sequence)
