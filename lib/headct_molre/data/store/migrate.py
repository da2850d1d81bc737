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
    if current_revision(database) == head_revision():
        return
    with database.writing() as connection:
        alone(connection, MIGRATION)
        current = revision_of(connection)
        if current is not None and not is_known(current):
            message = f"The store was written by a newer release (schema {current}). Install that release, or restore an older backup."
            raise HeadCTError("store_newer", message, status=409)
        upgrade(connection)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Brings the tables, or none at all, to a known revision inside the caller's transaction."""
    alone(connection, MIGRATION)
    scripts, current = _scripts(), revision_of(connection)

    def steps(*_: object) -> list:
        return scripts._upgrade_revs(revision, current or "base")

    context = MigrationContext.configure(connection, opts={"fn": steps})
    if current == FIRST and context.get_current_revision() is None:
        context.stamp(scripts, FIRST)
    with Operations.context(context):
        context.run_migrations()


def head_revision() -> str:
    """The revision that this release works with."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def is_known(revision: str) -> bool:
    """Whether this release can bring a store of this revision to its own."""
    return revision in {script.revision for script in _scripts().walk_revisions()}


def current_revision(database: Database) -> str | None:
    """The revision of the database's schema."""
    with database.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def revision_of(connection: Connection) -> str | None:
    """The revision, None where there are no tables; a database without one that has our first tables is of a release before migrations."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and inspect(connection).has_table("submissions"):
        return FIRST
    return revision


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))
