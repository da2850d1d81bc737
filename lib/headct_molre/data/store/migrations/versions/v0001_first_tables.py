"""The tables of releases before migrations: studies, append-only submissions, predictions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("study", sa.String(128), primary_key=True),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("content_sha256", sa.String(64)),
        sa.Column("info", sa.JSON, nullable=False),
    )
    op.create_table(
        "submissions",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("submission_id", sa.String(36), nullable=False, unique=True),
        sa.Column("study", sa.String(128), nullable=False, index=True),
        sa.Column("reader", sa.String(128), nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("shown_probabilities", sa.JSON),
    )
    op.create_table(
        "predictions",
        sa.Column("content_sha256", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("weights_sha256", sa.String(64), primary_key=True),
        sa.Column("preparation", sa.String(16), primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER submissions_no_{action.lower()} BEFORE {action} ON submissions "
                "BEGIN SELECT RAISE(ABORT, 'submissions are append-only'); END"
            )
