"""What happened to a study, what a reader has done, and the readings that can be compared."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from heapq import merge
from typing import Literal, NamedTuple

from pydantic import AwareDatetime
from sqlalchemy import Connection, Text, cast, func, literal, null, or_, select, union_all

from ...errors import InvalidRequest
from ...schema import Contract, State
from .clock import with_zone
from .offers import OFFERED, SKIPPED, skip_is_in_force
from .tables import LEASES, READING_EVENTS, STUDIES, SUBMISSIONS

EVERY_STUDY = "*"  # in place of an id, which never holds an asterisk


class ReadingEvent(Contract):
    """One event of a study: who did what. `reason` of skips and reopened studies, `value` of readers_required, `submission_id`."""

    kind: Literal["submitted", "skipped", "reopened", "readers_required"]
    reader: str
    at: AwareDatetime
    reason: str | None = None
    value: int | None = None
    submission_id: str | None = None


class ReadingOfMine(Contract):
    """A study that a reader has open until `expires_at`, skipped for a `reason`, or read."""

    study: str
    state: Literal["open", "skipped", "read"]
    at: AwareDatetime
    expires_at: AwareDatetime | None = None
    reason: str | None = None


class Reading(NamedTuple):
    """The latest calls of one reader on one study, {key: state}."""

    study: str
    reader: str
    findings: dict[str, State]


def history(connection: Connection, study: str) -> list[ReadingEvent]:
    """Events and submissions of a study in order of time.

    With the reasons, which are written for colleagues; without calls, comments and offers, by which a second reader would be biased: an
    offer's reason names the findings of which a model was not sure.
    """
    submissions = select(SUBMISSIONS.c.reader, SUBMISSIONS.c.received_at, SUBMISSIONS.c.submission_id).where(SUBMISSIONS.c.study == study)
    submitted = [
        ReadingEvent(kind="submitted", reader=row.reader, at=with_zone(row.received_at), submission_id=row.submission_id)
        for row in connection.execute(submissions.order_by(SUBMISSIONS.c.sequence))
    ]
    added = select(STUDIES.c.added_at).where(STUDIES.c.study == study).scalar_subquery()
    of_all = (READING_EVENTS.c.study == EVERY_STUDY) & (READING_EVENTS.c.at >= added)
    events_here = READING_EVENTS.c.kind != OFFERED, or_(READING_EVENTS.c.study == study, of_all)
    rows = select(READING_EVENTS).where(*events_here).order_by(READING_EVENTS.c.sequence)
    events = [
        ReadingEvent(kind=row.kind, reader=row.reader, at=with_zone(row.at), reason=row.reason or None, value=row.value)
        for row in connection.execute(rows)
    ]
    # Each of the two keeps its order even where the clock was set back.
    return list(merge(submitted, events, key=lambda event: event.at))


def read_by(connection: Connection, reader: str, at: datetime, limit: int, offset: int) -> list[ReadingOfMine]:
    """What a reader did last to each study, newest first; an expired lease and a skip before the study was reopened are over."""
    no_reason, events = cast(null(), Text), READING_EVENTS
    opened = select(
        LEASES.c.study, literal("open").label("state"), LEASES.c.taken_at.label("at"), LEASES.c.expires_at, no_reason.label("reason")
    ).where(LEASES.c.reader == reader, LEASES.c.expires_at > at)
    skipped = select(events.c.study, literal("skipped"), events.c.at, null(), events.c.reason).where(
        events.c.reader == reader, events.c.kind == SKIPPED, skip_is_in_force(events)
    )
    read = select(SUBMISSIONS.c.study, literal("read"), SUBMISSIONS.c.received_at, null(), no_reason).where(SUBMISSIONS.c.reader == reader)
    done = union_all(opened, skipped, read).subquery()
    newest = func.row_number().over(partition_by=done.c.study, order_by=done.c.at.desc()).label("newest")
    ranked = select(done, newest).subquery()
    query = select(ranked).where(ranked.c.newest == 1).order_by(ranked.c.at.desc(), ranked.c.study).limit(limit).offset(offset)
    return [
        ReadingOfMine(
            study=row.study,
            state=row.state,
            at=with_zone(row.at),
            expires_at=None if row.expires_at is None else with_zone(row.expires_at),
            reason=row.reason,
        )
        for row in connection.execute(query)
    ]


def read_by_several(connection: Connection, since: datetime | None) -> list[Reading]:
    """The latest reading of each reader on each study that at least two have read (since a time, which has its zone).

    Raises InvalidRequest `invalid_since` for a time that no calendar of ours holds.
    """
    several = select(STUDIES.c.study).where(STUDIES.c.submissions >= 2)
    columns = (SUBMISSIONS.c.sequence, SUBMISSIONS.c.study, SUBMISSIONS.c.reader, SUBMISSIONS.c.document)
    query = select(*columns).where(SUBMISSIONS.c.study.in_(several))
    if since is not None:
        query = query.where(SUBMISSIONS.c.received_at >= _stored_time(since))
    latest: dict[str, dict[str, str]] = {}
    # Sorted here: SQLite would walk through all submissions in order to have them sorted.
    for _, study, reader, document in sorted(connection.execute(query).all()):
        latest.setdefault(study, {})[reader] = document
    # Not validated again: it was when it came, and that takes most of the time at thousands of studies.
    return [
        Reading(study, reader, json.loads(document)["findings"])
        for study, documents in sorted(latest.items())
        if len(documents) > 1
        for reader, document in sorted(documents.items())
    ]


def _stored_time(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise InvalidRequest("invalid_since", "since is a time between the years 1 and 9999.", field="since") from None
