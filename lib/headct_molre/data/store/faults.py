"""What a database says when it cannot work, in the words of the server: which fault, and what to do about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import HeadCTError


class StoreUnavailable(HeadCTError):
    """The database cannot do what was asked now; nothing of it was stored, and the same request may succeed later."""

    status = 503


_SQLITE = {
    sqlite3.SQLITE_BUSY: ("store_locked", "Another process holds the store. Nothing was stored; send the request again."),
    sqlite3.SQLITE_LOCKED: ("store_locked", "Another process holds the store. Nothing was stored; send the request again."),
    sqlite3.SQLITE_FULL: ("store_full", "The disk of the store is full. Nothing was stored; free some space and send the request again."),
    sqlite3.SQLITE_READONLY: ("store_read_only", "The store is read-only. Nothing was stored; make its file and folder writable."),
    sqlite3.SQLITE_CANTOPEN: ("store_unreachable", "The store's file cannot be opened. Check its folder and the rights on it."),
    sqlite3.SQLITE_IOERR: ("store_failing", "The disk of the store fails or is full. Nothing was stored; check the disk."),
    sqlite3.SQLITE_CORRUPT: ("store_damaged", "The store's file is damaged. Stop the server and restore a backup."),
    sqlite3.SQLITE_NOTADB: ("store_damaged", "The store's file is no SQLite database. Stop the server and restore a backup."),
}
# The first two letters of an SQLSTATE are its class.
_POSTGRES = {
    "08": ("store_unreachable", "The database server cannot be reached. Nothing was stored; the server tries again at the next request."),
    "57": ("store_unreachable", "The database server is stopping or starting. Nothing was stored; send the request again."),
    "53": ("store_full", "The database server is out of space, memory or connections. Nothing was stored; send the request again later."),
    "25": ("store_read_only", "The database is read-only. Nothing was stored; point the server at the primary."),
    "28": ("store_unreachable", "The database server refuses this user or password. Check the store's URL."),
    "3D": ("store_unreachable", "There is no database of this name. Check the store's URL."),
    "42": ("store_unreachable", "The database refuses this user the store's tables. Grant the rights on them."),
    "40": ("store_locked", "Two changes met in the database. Nothing was stored; send the request again."),
    "55": ("store_locked", "Another session holds the store. Nothing was stored; send the request again."),
}
_LOST = ("store_unreachable", "The connection to the database was lost. Nothing was stored; the server connects again at the next request.")


@contextmanager
def translated() -> Iterator[None]:
    """Raises StoreUnavailable in place of a database that does not work; a broken constraint passes through."""
    try:
        yield
    except PoolTimeout:
        raise StoreUnavailable("store_busy", "All connections to the store are in use. Send the request again.") from None
    except DBAPIError as error:
        fault = _fault(error)
        if fault is None:
            raise
        raise StoreUnavailable(*fault) from error


def _fault(error: DBAPIError) -> tuple[str, str] | None:
    original = error.orig
    if isinstance(original, sqlite3.Error):
        # The lower byte is the primary code, the rest says more.
        return _SQLITE.get((getattr(original, "sqlite_errorcode", None) or 0) & 0xFF)
    state = getattr(original, "sqlstate", None)
    if state:
        return _POSTGRES.get(state[:2])
    return _LOST if type(original).__name__ in ("OperationalError", "InterfaceError") else None
