"""Database URLs: how an SQLite file is named, and how a URL may be shown."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...errors import InvalidRequest

REMEDY = "Write sqlite:////folder/store.sqlite or postgresql://user@host/database."


def sqlite_url(path: Path) -> str:
    """The database URL of an SQLite file."""
    return f"sqlite:///{path}"


def parsed_url(text: str) -> URL:
    """The URL with its driver. Raises InvalidRequest `invalid_store_url` for what is none, without repeating it: it may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidRequest("invalid_store_url", f"The store's URL is not a database URL. {REMEDY}", field="store") from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        return url
    raise InvalidRequest(
        "invalid_store_url", f"The store is an SQLite file or a PostgreSQL database, not {backend}. {REMEDY}", field="store"
    )
