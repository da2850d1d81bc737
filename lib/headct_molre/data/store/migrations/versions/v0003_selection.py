"""Selection and patients: small summaries of predictions, keyed hashes of patients, the secret of a store."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("studies", sa.Column("patient_key", sa.String(64)))
    op.create_index("studies_by_content", "studies", ["content_sha256"])
    op.create_table("secrets", sa.Column("name", sa.String(32), primary_key=True), sa.Column("secret", sa.LargeBinary, nullable=False))
    op.create_table(
        "summaries",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("weights_sha256", sa.String(64), nullable=False),
        sa.Column("preparation", sa.String(16), nullable=False),
        sa.Column("probabilities", sa.LargeBinary, nullable=False),
        sa.Column("features", sa.LargeBinary),
    )
    columns = "content_sha256, model, version, weights_sha256, preparation, probabilities"
    op.get_bind().exec_driver_sql(
        f"INSERT INTO summaries (sequence, {columns}) SELECT row_number() OVER (ORDER BY created_at), {columns} "
        "FROM predictions WHERE probabilities IS NOT NULL"
    )
    named = ["model", "weights_sha256", "preparation", "version", "content_sha256"]
    op.create_index("summaries_of_content", "summaries", named, unique=True)
    op.drop_column("predictions", "probabilities")
