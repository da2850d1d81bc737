"""What a database says when it cannot work, in the words of the server: which fault, and what to do about it."""

from __future__ import annotations

import errno
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import HeadCTError, InvalidRequest


class StoreUnavailable(HeadCTError):
    """The database cannot do what was asked now; nothing of it was stored, and the same request may succeed later."""

    status = 503


LOCKED = ("store_locked", "Another process holds the store. Nothing was stored; send the request again.")
_FULL = ("store_full", "The disk of the store is full. Nothing was stored; free some space and send the request again.")
_READ_ONLY = ("store_read_only", "The store is read-only. Nothing was stored; make its file and folder writable.")
_CLOSED = ("store_unreachable", "The store's file cannot be opened. Check its folder and the rights on it.")
_FAILING = ("store_failing", "The disk of the store fails. Nothing was stored; check the disk.")
_DAMAGED = ("store_damaged", "The store's file is damaged. Stop the server and restore a backup.")

_INCOMPLETE = ("store_damaged", "The database lacks tables of the store. Restart the server, or restore a backup.")
_GONE = ("store_missing", "The store's file is gone. Nothing was stored; bring its disk or its file back.")
_REPLACED = ("store_replaced", "The store's file was replaced. Nothing was stored; send the request again.")

_SQLITE = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_PERM: _CLOSED,
    sqlite3.SQLITE_IOERR: _FAILING,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: ("store_damaged", "The store's file is no SQLite database. Stop the server and restore a backup."),
}
_FOLDER = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EIO: _FAILING,
}
# By SQLSTATE, else by its first two letters, which are its class.
_POSTGRES = {
    "08": ("store_unreachable", "The database server cannot be reached. Nothing was stored; the server tries again at the next request."),
    "57": ("store_unreachable", "The database server is stopping or starting. Nothing was stored; send the request again."),
    "57014": ("store_busy", "The database server gave up a statement that took too long. Nothing was stored; send the request again."),
    "53": ("store_full", "The database server is out of space, memory or connections. Nothing was stored; send the request again later."),
    "25": ("store_read_only", "The database is read-only. Nothing was stored; point the server at the primary."),
    "28": ("store_unreachable", "The database server refuses this user or password. Check the store's URL."),
    "3D": ("store_unreachable", "There is no database of this name. Check the store's URL."),
    "42P01": _INCOMPLETE,
    "42501": ("store_unreachable", "The database refuses this user the store's tables. Grant the rights on them."),
    "40": ("store_locked", "Two changes met in the database. Nothing was stored; send the request again."),
    "55": ("store_locked", "Another session holds the store. Nothing was stored; send the request again."),
    "58": ("store_failing", "The disk of the database server fails. Nothing was stored; check the disk."),
    "XX001": ("store_damaged", "The database is damaged. Stop the server and restore a backup."),
    "XX002": ("store_damaged", "An index of the database is damaged. Stop the server and reindex the database, or restore a backup."),
}
# A commit may have passed just before its connection broke; a submission that is sent again is then found and not stored twice.
_LOST = ("store_unreachable", "There is no connection to the database server. Send the request again; it is stored once.")


@contextmanager
def translated(file: Path | None = None) -> Iterator[None]:
    """Raises StoreUnavailable in place of a database that does not work; a broken constraint passes through.

    `file` is that of an SQLite database, whose disk is asked where SQLite does not say what is wrong.
    """
    try:
        yield
    except PoolTimeout:
        raise StoreUnavailable("store_busy", "All connections to the store are in use. Send the request again.") from None
    except DataError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise
        message = "A text holds a character that the database cannot hold (NUL), or a number is out of range."
        raise InvalidRequest("unstorable_value", message) from None
    except DBAPIError as error:
        original = error.orig
        fault = _sqlite_fault(original, file) if isinstance(original, sqlite3.Error) else _postgres_fault(original)
        if fault is None:
            raise
        raise StoreUnavailable(*fault) from error


def folder_made(folder: Path) -> None:
    """Makes the store's folder where there is none. Raises StoreUnavailable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(*_FOLDER.get(error.errno or 0, _CLOSED)) from error


def file_identity(file: Path) -> tuple[int, int]:
    """What tells a file from another one that took its name. Raises StoreUnavailable `store_missing`."""
    try:
        found = file.stat()
    except OSError as error:
        raise StoreUnavailable(*_GONE) from error
    return found.st_dev, found.st_ino


def check_identity(file: Path, opened: tuple[int, int]) -> None:
    """Raises StoreUnavailable where the file that a connection has open lost its name: what is written there would be lost."""
    if file_identity(file) != opened:
        raise StoreUnavailable(*_REPLACED)


def _sqlite_fault(error: sqlite3.Error, file: Path | None) -> tuple[str, str] | None:
    # The lower byte is the primary code, the rest says more.
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
        return _INCOMPLETE
    fault = _SQLITE.get(code)
    return _disk_fault(file.parent) or fault if file is not None and fault in (_FAILING, _CLOSED) else fault


def _disk_fault(folder: Path) -> tuple[str, str] | None:
    """What a disk says to a page of our own: after an error Linux makes it read-only, and SQLite hears of an error only."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(4096))
    except OSError as error:
        return _FOLDER.get(error.errno or 0)
    return None


def _postgres_fault(error: BaseException | None) -> tuple[str, str] | None:
    state = getattr(error, "sqlstate", None)
    if state:
        return _POSTGRES.get(state, _POSTGRES.get(state[:2]))
    return _LOST if type(error).__name__ in ("OperationalError", "InterfaceError") else None
