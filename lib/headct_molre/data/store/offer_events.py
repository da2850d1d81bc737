"""What was offered to whom, and which studies were drawn at random: the unbiased sample for the gate and for prevalences.

An offer is an event of kind `offered` with value 1 where no score chose the study, and 0 where a strategy did.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select, union

from .offers import OFFERED, SKIPPED, skip_is_in_force
from .tables import LEASES, READING_EVENTS, STUDIES, SUBMISSIONS


def was_random(connection: Connection, study: str, reader: str) -> bool:
    """Whether the last offer of a study to a reader was drawn at random; a study that they opened by its id was not."""
    events = READING_EVENTS.c
    query = select(events.value).where(events.study == study, events.reader == reader, events.kind == OFFERED)
    return connection.execute(query.order_by(events.sequence.desc()).limit(1)).scalar() == 1


def first_offered_at_random(connection: Connection, until: datetime | None) -> set[str]:
    """Studies whose first offer, to whichever reader, was drawn at random."""
    events = READING_EVENTS.c
    first = select(func.min(events.sequence)).where(events.kind == OFFERED).group_by(events.study)
    if until is not None:
        first = first.where(events.at <= until.astimezone(UTC).replace(tzinfo=None))
    query = select(events.study).where(events.sequence.in_(first), events.value == 1)
    return set(connection.execute(query).scalars())


def out_of_reach(connection: Connection, reader: str, at: datetime) -> set[str]:
    """Open studies that this reader has read since they were last reopened, or skipped, and all that somebody has open."""
    read = (
        select(SUBMISSIONS.c.study)
        .join(STUDIES, STUDIES.c.study == SUBMISSIONS.c.study)
        .where(SUBMISSIONS.c.reader == reader, SUBMISSIONS.c.sequence > STUDIES.c.reopened_after, STUDIES.c.is_open)
    )
    events = READING_EVENTS
    skipped = select(events.c.study).where(events.c.reader == reader, events.c.kind == SKIPPED, skip_is_in_force(events))
    leased = select(LEASES.c.study).where(LEASES.c.expires_at > at)
    return set(connection.execute(union(read, skipped, leased)).scalars())
