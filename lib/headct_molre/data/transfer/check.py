"""The check of a store: is the database whole, does every record say what its columns say, are the counters right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import DatabaseError

from ..store.database import Database
from ..store.migrate import head_revision, revision_of
from ..store.tables import METADATA
from .check_counters import check_counters, repair_counters
from .check_records import check_images, check_offers, check_orphans, check_patients, check_predictions, check_submissions
from .check_report import StoreReport
from .snapshot import snapshot

ALEMBIC = "alembic_version"
_TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D' AND NOT tgisinternal",
}
# What makes a table append-only in each database.
_GUARDS = {
    "sqlite": {
        "submissions": {"submissions_no_update", "submissions_no_delete", "submissions_no_replace"},
        "reading_events": {"reading_events_no_update", "reading_events_no_delete"},
    },
    "postgresql": {"submissions": {"submissions_append_only"}, "reading_events": {"reading_events_append_only"}},
}


def check_store(
    database: Database,
    *,
    studies: Path | None = None,
    predictions: bool = True,
    repair: bool = False,
    done: Callable[[int], object] = lambda _: None,
) -> StoreReport:
    """Look through a store at one moment, also while servers write to it.

    `studies` looks for the images of registered studies in that folder, `predictions` reads every prediction. `repair` first computes again
    what is derived, never what readers said. `done` is told of every submission and prediction. A database that is damaged or of another
    release is not looked at any further. Raises StoreUnavailable.
    """
    report = StoreReport()
    with snapshot(database) as connection:
        if not _is_whole(connection, report) or not _is_ours(connection, report):
            return report
    if repair:
        report.repaired = repair_counters(database)
    with snapshot(database) as connection:
        report.counts = {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one() for name, table in METADATA.tables.items()
        }
        check_submissions(connection, report, done)
        check_counters(connection, report)
        check_orphans(connection, report)
        check_patients(connection, report)
        check_offers(connection, report)
        if predictions:
            check_predictions(connection, report, done)
        if studies is not None:
            check_images(connection, studies, report)
    return report


def _is_whole(connection: Connection, report: StoreReport) -> bool:
    """SQLite's own check of its file; PostgreSQL checks pages when it reads them."""
    if connection.dialect.name == "sqlite":
        try:
            said = list(connection.execute(text("PRAGMA integrity_check")).scalars())
        except DatabaseError as error:  # some damage stops even the check
            said = [str(error.orig)]
        if said != ["ok"]:
            report.note("damaged_database", "faults in the database's file; restore a backup", said)
    return report.consistent


def _is_ours(connection: Connection, report: StoreReport) -> bool:
    """Notes another schema, missing tables or triggers, and tables of somebody else."""
    revision, head = revision_of(connection), head_revision()
    if revision != head:
        report.note(
            "other_schema", f"schema, where this release has {head}; the server brings an older one up to date at its start", [revision]
        )
        return False
    there = set(inspect(connection).get_table_names())
    report.note("missing_tables", "tables are missing; restore a backup", sorted(METADATA.tables.keys() - there))
    report.note("foreign_tables", "tables are not the store's", sorted(there - METADATA.tables.keys() - {ALEMBIC}), harmless=True)
    triggers = set(connection.execute(text(_TRIGGERS[connection.dialect.name])).scalars())
    unguarded = [table for table, guards in _GUARDS[connection.dialect.name].items() if not guards <= triggers]
    report.note("unguarded_tables", "append-only tables lack their triggers; restore a backup", unguarded)
    return METADATA.tables.keys() <= there
