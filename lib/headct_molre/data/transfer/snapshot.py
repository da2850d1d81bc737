"""One moment of a store that a server goes on writing to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from ...errors import NotFound
from ..store.database import Database


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A connection that sees the store as it was at its first query, whatever is written meanwhile. Raises StoreUnavailable."""
    with database.reading() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


def existing_store(url: str) -> Database:
    """The database of a store that is there, its schema as it is; a misspelt folder is no empty store. Raises NotFound `store_missing`."""
    database = Database(url)
    if database.is_sqlite and not Path(database.url.database or "").is_file():
        raise NotFound(
            "store_missing", f"There is no store {database.url.database}; name its --studies folder or --store URL.", field="store"
        )
    return database
