"""Restore: a backup into a store that holds nothing, of either database, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Integer, Table, func, insert, select, text
from sqlalchemy.exc import DataError, IntegrityError

from ...errors import HeadCTError, InvalidRequest
from ..store.database import Database
from ..store.migrate import is_known, revision_of, upgrade
from .archive import Backup, BackupManifest, damaged, opened_backup, table_member
from .model_files import placed_models
from .rows import row_of, stored_tables

INSERTED = 500  # rows of one statement


def restore(path: Path, url: str, *, home: Path | None = None, done: Callable[[int], object] = lambda _: None) -> BackupManifest:
    """Check every hash and count of a backup, then restore it in one transaction; returns its manifest.

    A backup of an older release is restored into its own tables, which are then migrated. With `home`, the model versions of the backup are
    put there. `done` is told how many rows were restored. Raises what `opened_backup` raises, HeadCTError `archive_newer` or
    `store_not_empty`, InvalidRequest `models_exist`, StoreUnavailable, OSError.
    """
    with opened_backup(path) as backup:
        manifest = backup.manifest
        if not is_known(manifest.revision):
            message = f"The backup is of a newer release ({manifest.release}, schema {manifest.revision}). Install that release."
            raise HeadCTError("archive_newer", message, status=409)
        backup.verify()
        database = Database(url)
        try:
            # Versions are placed first: should this process be killed, they harm nothing, and the next restore finds them.
            with placed_models(backup, home) if home is not None else nullcontext(), database.writing() as connection:
                _tables_for(connection, manifest.revision)
                _insert_all(connection, backup, done)
                upgrade(connection)
                _continue_sequences(connection)
        finally:
            database.close()
    return manifest


def _tables_for(connection: Connection, revision: str) -> None:
    """Empty tables of a revision. Raises HeadCTError `store_not_empty`."""
    current = revision_of(connection)
    if current is None:
        upgrade(connection, revision)
        return
    for name, table in stored_tables(connection).items():
        if connection.execute(select(table).limit(1)).first() is not None:
            message = f"The store holds {name} already, and a restore overwrites nothing. Name a new --store or an empty --studies folder."
            raise HeadCTError("store_not_empty", message, status=409)
    if current != revision:
        message = f"The store has tables of schema {current}, the backup is of {revision}. Restore it into a store without tables."
        raise HeadCTError("store_not_empty", message, status=409)


def _insert_all(connection: Connection, backup: Backup, done: Callable[[int], object]) -> None:
    tables = stored_tables(connection)
    if unknown := backup.manifest.rows().keys() - tables.keys():
        raise damaged(f"schema {backup.manifest.revision} has no table {min(unknown)}")
    for name in backup.manifest.rows():
        table = tables[name]
        rows = _rows(backup, table)
        while part := list(islice(rows, INSERTED)):
            try:
                connection.execute(insert(table), part)
            except (IntegrityError, DataError) as error:
                raise _misfit(name) from error
            done(len(part))


def _rows(backup: Backup, table: Table) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(backup.lines(table_member(table.name)), 1):
        try:
            yield row_of(table, line)
        except (ValueError, RecursionError):
            raise damaged(f"line {number} of {table.name} is no row") from None


def _continue_sequences(connection: Connection) -> None:
    """PostgreSQL counts on from where a sequence stands, whatever was inserted by hand; SQLite from the largest number."""
    if connection.dialect.name != "postgresql":
        return
    for table in stored_tables(connection).values():
        for column in table.primary_key.columns:
            if not isinstance(column.type, Integer):
                continue
            last = connection.execute(select(func.max(column))).scalar()
            if last is not None:
                statement = text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)")
                connection.execute(statement, {"table": table.name, "column": column.name, "last": last})


def _misfit(table: str) -> InvalidRequest:
    return InvalidRequest(
        "archive_does_not_fit",
        f"The rows of {table} do not fit into this database: a number twice, or text that it cannot hold. Nothing was restored.",
        field="archive",
    )
