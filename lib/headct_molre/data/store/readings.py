"""Many readers on one store: who reads which study, what is offered next, and which studies need more readers.

A lease says that a reader has a study open. It keeps the study from being offered to more readers than it needs, and forbids
nothing: any study can be opened by its id. A lease that has expired is no lease, whether or not its row was removed.

Of two offers at the same moment, the second sees the lease of the first: they pass `alone`. In PostgreSQL locks are taken in this order:
offers, rows of studies, rows of leases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, true, update

from ...errors import InvalidRequest, NotFound
from ...readers import checked_reader
from ...schema import Contract
from .clock import now, with_zone
from .database import OFFERS, Database, alone
from .offer_events import first_offered_at_random, out_of_reach, was_random
from .offers import OFFERED, REOPENED, REQUIRED, SKIPPED, any_study, first_by_id, first_of, free_for, latest_opened, wanted_from
from .reading_history import EVERY_STUDY, Reading, ReadingEvent, ReadingOfMine, history, read_by, read_by_several
from .tables import LEASES, READING_EVENTS, STUDIES, SUBMISSIONS

MOST_READERS = 20
LONGEST_REASON = 1000
Order = Literal["random", "id"]
_PART = 5000  # studies of one statement; SQLite takes 32,766 values

# Finds a study among those that meet a condition and locks its row.
_Choose = Callable[[Connection, ColumnElement[bool]], str | None]


class Lease(Contract):
    """A reader has a study open until `expires_at`, by the server's clock."""

    study: str
    reader: str
    taken_at: AwareDatetime
    expires_at: AwareDatetime


class OpenedStudy(Contract):
    """A reader's own lease, and the live leases of others on the same study."""

    lease: Lease
    others: list[Lease]


class Offer(Contract):
    """The study to read next; `again` when the reader had it open already; `random` when it was drawn with no regard to any score."""

    lease: Lease
    again: bool
    random: bool


class ReadingState(Contract):
    """How many readers a study needs, and how many have read it since it was last reopened."""

    study: str
    readings: int
    readers_required: int
    is_open: bool


class Readings:
    """Offers, leases, skips, reopened studies and double reading; every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def offer(self, reader: str, lease_s: float, order: Order = "random", another: bool = False, reason: str = "") -> Offer | None:
        """The next study for a reader, at random or by id, leased to them for `lease_s` seconds; None when there is none.

        What the reader has open and not read comes first. With `another` it does not, and is given back once another is found. What was not
        open before is noted as an event, with the `reason` and whether it was drawn at random. Raises InvalidRequest `invalid_reader`.
        """
        choose = {"random": any_study, "id": first_by_id}[order]
        return self._offer(reader, lease_s, another, choose, order == "random", lambda _: reason or order)

    def offer_first(
        self,
        reader: str,
        candidates: Sequence[str],
        lease_s: float,
        another: bool = False,
        reasons: Mapping[str, str] | None = None,
    ) -> Offer | None:
        """Like `offer`, the first of the candidates that this reader can be offered; `reasons` {study: why it is a candidate}."""

        def choose(connection: Connection, eligible: ColumnElement[bool]) -> str | None:
            return first_of(connection, eligible, candidates)

        return self._offer(reader, lease_s, another, choose, False, lambda study: (reasons or {}).get(study, "ranked"))

    def lease(self, study: str, reader: str, lease_s: float) -> OpenedStudy:
        """Takes or renews a lease by hand. Raises NotFound `unknown_study`, InvalidRequest `invalid_reader`."""
        checked_reader(reader)
        with self._database.writing() as connection:
            alone(connection, OFFERS)
            _state(connection, study)
            at = now()
            lease = _take(connection, study, reader, at, lease_s)
            others = select(LEASES).where(LEASES.c.study == study, LEASES.c.reader != reader, LEASES.c.expires_at > at)
            rows = connection.execute(others.order_by(LEASES.c.taken_at, LEASES.c.reader)).mappings().all()
        return OpenedStudy(lease=lease, others=[_lease(**row) for row in rows])

    def release(self, study: str, reader: str) -> bool:
        """Ends a reader's lease; whether it was live."""
        here = and_(LEASES.c.study == study, LEASES.c.reader == reader)
        with self._database.writing() as connection:
            live = connection.execute(select(LEASES.c.study).where(here, LEASES.c.expires_at > now())).first() is not None
            connection.execute(delete(LEASES).where(here))
        return live

    def skip(self, study: str, reader: str, reason: str) -> None:
        """The study is not offered to this reader again until it is reopened; ends their lease.

        Raises NotFound `unknown_study`, InvalidRequest `invalid_reader` or `invalid_reason`.
        """
        event = _event(study, reader, SKIPPED, _checked_reason(reason))
        with self._database.writing() as connection:
            _state(connection, study)
            connection.execute(insert(READING_EVENTS).values(event))
            connection.execute(delete(LEASES).where(LEASES.c.study == study, LEASES.c.reader == reader))

    def reopen(self, study: str, reader: str, reason: str) -> ReadingState:
        """The study is offered again, to those who read or skipped it too. Its submissions stay and count for its label.

        Raises NotFound `unknown_study`, InvalidRequest `invalid_reader` or `invalid_reason`.
        """
        event = _event(study, reader, REOPENED, _checked_reason(reason))
        last = select(func.coalesce(func.max(SUBMISSIONS.c.sequence), 0)).where(SUBMISSIONS.c.study == study)
        with self._database.writing() as connection:
            _state(connection, study)
            values = {"reopened_after": connection.execute(last).scalar_one(), "readings": 0, "is_open": True}
            connection.execute(update(STUDIES).where(STUDIES.c.study == study).values(values))
            connection.execute(insert(READING_EVENTS).values(event))
            return _state(connection, study)

    def require(self, studies: Sequence[str] | None, readers: int, by: str) -> int:
        """Sets how many readers studies need, all that there are now with None; how many studies changed.

        Raises InvalidRequest `invalid_readers_required` or `invalid_reader`, NotFound `unknown_study`; then nothing is changed.
        """
        checked_reader(by)
        if not 1 <= readers <= MOST_READERS:
            raise InvalidRequest("invalid_readers_required", f"A study needs 1 to {MOST_READERS} readers.", field="readers")
        change = update(STUDIES).where(STUDIES.c.readers_required != readers)
        change = change.values(readers_required=readers, is_open=STUDIES.c.readings < readers)
        named = [EVERY_STUDY] if studies is None else list(dict.fromkeys(studies))
        changed = 0
        with self._database.writing() as connection:
            alone(connection, OFFERS)
            for part in (named[start : start + _PART] for start in range(0, len(named), _PART)):
                if studies is not None:
                    _check_known(connection, part)
                where = true() if studies is None else STUDIES.c.study.in_(part)
                changed += connection.execute(change.where(where)).rowcount
                connection.execute(insert(READING_EVENTS), [_event(study, by, REQUIRED, value=readers) for study in part])
        return changed

    def state(self, study: str) -> ReadingState:
        """How far the reading of a study is. Raises NotFound `unknown_study`."""
        with self._database.reading() as connection:
            return _state(connection, study, lock=False)

    def history(self, study: str) -> list[ReadingEvent]:
        """What happened to a study, in order of time; see `reading_history.history`."""
        with self._database.reading() as connection:
            return history(connection, study)

    def mine(self, reader: str, limit: int = 100, offset: int = 0) -> list[ReadingOfMine]:
        """What a reader has open, skipped or read, newest first, one entry for each study."""
        with self._database.reading() as connection:
            return read_by(connection, reader, now(), limit, offset)

    def by_several(self, since: datetime | None = None) -> list[Reading]:
        """The latest reading of each reader on each study that at least two have read (since a time, which has its zone)."""
        with self._database.reading() as connection:
            return read_by_several(connection, since)

    def random_studies(self, until: datetime | None = None) -> set[str]:
        """Studies whose first offer was drawn at random, so that no score chose them; of the offers until a time, which has its zone."""
        with self._database.reading() as connection:
            return first_offered_at_random(connection, until)

    def out_of_reach(self, reader: str) -> set[str]:
        """Open studies that need not be ranked for a reader: what they read or skipped, and what anybody has open now."""
        with self._database.reading() as connection:
            return out_of_reach(connection, reader, now())

    def _offer(
        self, reader: str, lease_s: float, another: bool, choose: _Choose, at_random: bool, reason: Callable[[str], str]
    ) -> Offer | None:
        checked_reader(reader)
        with self._database.writing() as connection:
            alone(connection, OFFERS)
            at = now()
            wanted = wanted_from(reader)
            study = None if another else latest_opened(connection, reader, at, wanted)
            again = study is not None
            if study is None:
                study = choose(connection, and_(wanted, free_for(reader, at)))
            if study is None:
                return None
            if again:
                at_random = was_random(connection, study, reader)
            else:
                event = _event(study, reader, OFFERED, reason(study)[:LONGEST_REASON], int(at_random))
                connection.execute(insert(READING_EVENTS).values(event))
            lease = _take(connection, study, reader, at, lease_s)
            if another:
                connection.execute(delete(LEASES).where(LEASES.c.reader == reader, LEASES.c.study != study))
            connection.execute(delete(LEASES).where(LEASES.c.expires_at <= at))
        return Offer(lease=lease, again=again, random=at_random)


def _take(connection: Connection, study: str, reader: str, at: datetime, lease_s: float) -> Lease:
    here = and_(LEASES.c.study == study, LEASES.c.reader == reader)
    taken_at = connection.execute(select(LEASES.c.taken_at).where(here, LEASES.c.expires_at > at)).scalar() or at
    expires_at = at + timedelta(seconds=lease_s)
    connection.execute(delete(LEASES).where(here))
    connection.execute(insert(LEASES).values(study=study, reader=reader, taken_at=taken_at, expires_at=expires_at))
    return _lease(study, reader, taken_at, expires_at)


def _lease(study: str, reader: str, taken_at: datetime, expires_at: datetime) -> Lease:
    return Lease(study=study, reader=reader, taken_at=with_zone(taken_at), expires_at=with_zone(expires_at))


def _state(connection: Connection, study: str, lock: bool = True) -> ReadingState:
    query = select(STUDIES.c.study, STUDIES.c.readings, STUDIES.c.readers_required, STUDIES.c.is_open).where(STUDIES.c.study == study)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound("unknown_study", "There is no study with this id; /headct/studies lists them.", field="study")
    return ReadingState(**row)


def _check_known(connection: Connection, studies: Sequence[str]) -> None:
    known = set(connection.execute(select(STUDIES.c.study).where(STUDIES.c.study.in_(studies))).scalars())
    unknown = [study for study in studies if study not in known]
    if unknown:
        message = f"{len(unknown)} of the studies are not known, the first is {unknown[0][:128]!r}. Nothing was changed."
        raise NotFound("unknown_study", message, field="studies")


def _event(study: str, reader: str, kind: str, reason: str = "", value: int | None = None) -> dict[str, object]:
    return {"study": study, "reader": checked_reader(reader), "kind": kind, "reason": reason, "value": value, "at": now()}


def _checked_reason(reason: str) -> str:
    text = reason.strip()
    if not text or len(text) > LONGEST_REASON or not all(letter.isprintable() or letter in "\n\t" for letter in text):
        raise InvalidRequest("invalid_reason", f"Say why, in 1 to {LONGEST_REASON:,} printable characters.", field="reason")
    return text
