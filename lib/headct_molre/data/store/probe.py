"""Whether a store can be used now: one quick read and an empty write, on connections of their own."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import URL, select, text

from .database import Database
from .faults import StoreUnavailable
from .tables import SUBMISSIONS

LOCK_WAIT_S = 0.5  # a write lasts milliseconds; a probe that waits longer has found something


def check_store(url: URL) -> None:
    """Raises StoreUnavailable with the fault; changes nothing."""
    database = _database(url.render_as_string(hide_password=False))
    with database.writing() as connection:
        connection.execute(select(SUBMISSIONS.c.sequence).limit(1)).first()
        if not database.is_sqlite and connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
            raise StoreUnavailable("store_read_only", "The database is read-only. Point the server at the primary.")


@lru_cache(1)
def _database(url: str) -> Database:
    return Database(url, LOCK_WAIT_S, must_exist=True)
