"""Many readers: a registry of studies with their readings, leases, reading events, jobs, tokens; compressed predictions.

Submissions become append-only in PostgreSQL too, and reading events with them.
"""

import json
import zlib
from array import array

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_APPEND_ONLY = ("submissions", "reading_events")


def upgrade() -> None:
    _studies()
    _predictions()
    op.create_index("submissions_by_reader", "submissions", ["reader", "study", "sequence"])
    op.create_table(
        "leases",
        sa.Column("study", sa.String(128), primary_key=True),
        sa.Column("reader", sa.String(128), primary_key=True),
        sa.Column("taken_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
    )
    op.create_table(
        "reading_events",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("study", sa.String(128), nullable=False, index=True),
        sa.Column("reader", sa.String(128), nullable=False, index=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("value", sa.Integer),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String(36), nullable=False, unique=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("process", sa.String(64)),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("updated_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(16), primary_key=True),
        sa.Column("reader", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime),
        sa.Column("revoked_at", sa.DateTime),
        sa.Column("last_used_at", sa.DateTime),
    )
    _append_only()


def _studies() -> None:
    added = (
        sa.Column("path", sa.Text),
        sa.Column("format", sa.String(16)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("present", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("content_stamp", sa.String(128)),
        sa.Column("shuffle", sa.Float, nullable=False, server_default="0"),
        sa.Column("readers_required", sa.Integer, nullable=False, server_default="1"),
        sa.Column("readings", sa.Integer, nullable=False, server_default="0"),
        sa.Column("submissions", sa.Integer, nullable=False, server_default="0"),
        sa.Column("is_open", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("reopened_after", sa.Integer, nullable=False, server_default="0"),
    )
    for column in added:
        op.add_column("studies", column)
    connection = op.get_bind()
    # Only a store that was put together by hand has submissions on a study without a row.
    connection.exec_driver_sql(
        "INSERT INTO studies (study, added_at, info) SELECT study, min(received_at), '{}' FROM submissions "
        "WHERE study NOT IN (SELECT study FROM studies) GROUP BY study"
    )
    random = "(random() + 9223372036854775808.0) / 18446744073709551616.0" if connection.dialect.name == "sqlite" else "random()"
    connection.exec_driver_sql(
        f"UPDATE studies SET shuffle = {random}, "
        "submissions = (SELECT count(*) FROM submissions s WHERE s.study = studies.study), "
        "readings = (SELECT count(DISTINCT s.reader) FROM submissions s WHERE s.study = studies.study)"
    )
    connection.exec_driver_sql("UPDATE studies SET is_open = (readings < 1)")
    op.create_index("studies_to_offer", "studies", ["present", "is_open", "shuffle"])
    op.create_index("studies_to_offer_by_id", "studies", ["present", "is_open", "study"])
    op.create_index("studies_read", "studies", ["present", "submissions"])
    op.create_index("studies_by_path", "studies", ["path"])


def _predictions() -> None:
    """Copies the documents compressed, one at a time, since a store may hold gigabytes of them."""
    connection = op.get_bind()
    op.rename_table("predictions", "predictions_0001")
    if connection.dialect.name == "postgresql":
        op.execute("ALTER TABLE predictions_0001 RENAME CONSTRAINT predictions_pkey TO predictions_0001_pkey")
    new = op.create_table(
        "predictions",
        sa.Column("content_sha256", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("weights_sha256", sa.String(64), primary_key=True),
        sa.Column("preparation", sa.String(16), primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("probabilities", sa.LargeBinary),
    )
    old = sa.Table("predictions_0001", sa.MetaData(), autoload_with=connection)
    for row in connection.execute(sa.select(old), execution_options={"yield_per": 16}).mappings():
        document = zlib.compress(row["document"].encode())
        connection.execute(sa.insert(new).values(**{**row, "document": document, "probabilities": _probabilities(row["document"])}))
    op.drop_table("predictions_0001")


def _probabilities(document: str) -> bytes | None:
    try:
        values = array("f", [result["probability"] for result in json.loads(document)["findings"]])
    except (ValueError, KeyError, TypeError):
        return None  # a document that a release wrote otherwise is made again when it is asked for
    return values.tobytes()


def _append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER reading_events_no_{action.lower()} BEFORE {action} ON reading_events "
                "BEGIN SELECT RAISE(ABORT, 'reading events are append-only'); END"
            )
        # REPLACE deletes without the trigger on DELETE. Of a retry this is the IntegrityError that the unique id gives too.
        op.execute(
            "CREATE TRIGGER submissions_no_replace BEFORE INSERT ON submissions "
            "WHEN EXISTS (SELECT 1 FROM submissions WHERE submission_id = NEW.submission_id OR sequence = NEW.sequence) "
            "BEGIN SELECT RAISE(ABORT, 'submissions are append-only'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION headct_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% are append-only', TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION headct_append_only()"
        )
