"""Brings a database to the newest schema, step by step (Alembic), whichever release made it."""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from ...errors import HeadCTError
from .database import MIGRATION, Database, alone

FIRST = "0001"  # what releases made before there were migrations


def migrate(database: Database) -> None:
    """Upgrades in one transaction; a store of a newer release is refused. Raises HeadCTError `store_newer`, StoreUnavailable."""
    scripts = _scripts()
    head = scripts.get_current_head()
    with database.reading() as connection:
        if MigrationContext.configure(connection).get_current_revision() == head:
            return
    with database.writing() as connection:
        alone(connection, MIGRATION)
        current = _current(connection)
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            message = f"The store was written by a newer release (schema {current}). Install that release, or restore an older backup."
            raise HeadCTError("store_newer", message, status=409)
        _upgrade(connection, scripts, current)


def current_revision(database: Database) -> str | None:
    """The revision of the database's schema."""
    with database.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _current(connection: Connection) -> str | None:
    """The revision; a database without one that has our first tables is of a release before migrations."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and inspect(connection).has_table("submissions"):
        return FIRST
    return revision


def _upgrade(connection: Connection, scripts: ScriptDirectory, current: str | None) -> None:
    def steps(*_: object) -> list:
        return scripts._upgrade_revs("head", current or "base")

    context = MigrationContext.configure(connection, opts={"fn": steps})
    if current == FIRST and context.get_current_revision() is None:
        context.stamp(scripts, FIRST)
    with Operations.context(context):
        context.run_migrations()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))
