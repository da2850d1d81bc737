"""The connection to the store: durable SQLite or PostgreSQL, with transactions that report faults in the server's words.

SQLite runs in WAL mode and its commits are flushed to disk (synchronous=FULL), so that what was acknowledged survives a killed
process and a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

from .faults import LOCKED, StoreUnavailable, check_identity, file_identity, folder_made, translated
from .url import parsed_url

LOCK_WAIT_S = 10.0  # how long a write waits for another one before it is refused
# Any numbers, the same for all servers of one PostgreSQL database.
MIGRATION, REGISTRATION, OFFERS, SUMMARISING = 7_500_301, 7_500_302, 7_500_303, 7_500_304


class Database:
    """An engine and its two kinds of transactions; safe to share between threads, and several processes may open one store."""

    def __init__(self, url: str, lock_wait_s: float = LOCK_WAIT_S, must_exist: bool = False) -> None:
        """Connects when it is first needed; with `must_exist` it makes no new SQLite file. Raises InvalidRequest `invalid_store_url`."""
        self.url = parsed_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._file = Path(self.url.database or "") if self.is_sqlite else None
        self._must_exist = must_exist
        self._turn = threading.Lock()
        self._lock_wait_s = lock_wait_s
        self.engine = self._sqlite_engine(lock_wait_s) if self.is_sqlite else self._postgres_engine(lock_wait_s)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that changes nothing; each statement sees all that was acknowledged before it. Raises StoreUnavailable."""
        with self._recovering(), self.engine.connect() as connection:
            self._check_file(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that no other write interleaves with; on return it is on disk. Raises StoreUnavailable.

        SQLite by itself locks at the first write, and by then another process may have changed what was read before it. In
        PostgreSQL, rows that are read to be changed are locked by `with_for_update`.
        """
        with self._recovering(), self._in_turn(), self.engine.begin() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._check_file(connection)
            yield connection

    def close(self) -> None:
        """Closes the connections; the database cannot be used afterwards."""
        self.engine.dispose()

    @contextmanager
    def _recovering(self) -> Iterator[None]:
        """After a fault of the disk or the network, the next request opens new connections: the old ones may never work again."""
        try:
            with translated(self._file):
                yield
        except StoreUnavailable as fault:
            if fault.code not in ("store_locked", "store_busy", "store_full"):
                self.engine.dispose()
            raise

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Threads that write to SQLite queue here, since SQLite itself lets who waits sleep and look again, for up to 0.1 s at a time."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=self._lock_wait_s):
            raise StoreUnavailable(*LOCKED)
        try:
            yield
        finally:
            self._turn.release()

    def _check_file(self, connection: Connection) -> None:
        if self._file is not None:
            check_identity(self._file, connection.info["file"])

    def _sqlite_engine(self, lock_wait_s: float) -> Engine:
        engine = create_engine(self.url, pool_size=8, max_overflow=24, pool_timeout=lock_wait_s)
        file = Path(self.url.database or "")

        @event.listens_for(engine, "do_connect")
        def _before(*_: Any) -> None:
            if self._must_exist:
                file_identity(file)  # SQLite would make an empty file in place of one that is gone
            else:
                folder_made(file.parent)

        @event.listens_for(engine, "connect")
        def _durable(connection: Any, record: Any) -> None:
            connection.execute(f"PRAGMA busy_timeout = {round(lock_wait_s * 1000)}")
            _into_wal(connection, lock_wait_s)
            connection.execute("PRAGMA synchronous = FULL")
            record.info["file"] = file_identity(file)
            self._must_exist = True

        return engine

    def _postgres_engine(self, lock_wait_s: float) -> Engine:
        # Commits are flushed here too, whatever the database's default is.
        options = f"-c lock_timeout={round(lock_wait_s * 1000)} -c synchronous_commit=on -c timezone=UTC"
        # A connection that the database server closed meanwhile is found out before its use, a dead network within 15 s.
        alive = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
        connecting = {"connect_timeout": 5, "options": options, **alive}
        return create_engine(self.url, pool_size=8, max_overflow=16, pool_timeout=lock_wait_s, pool_pre_ping=True, connect_args=connecting)


def _into_wal(connection: Any, wait_s: float) -> None:
    """Changes the journal of a file to WAL. SQLite does not wait for the lock that this takes, whatever its busy_timeout is."""
    until = time.monotonic() + wait_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.02)


def alone(connection: Connection, number: int) -> None:
    """Lets one transaction at a time pass here, of all servers; those of SQLite are alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({number})")


def inserting(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say ON CONFLICT, which both databases have under the same name."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
