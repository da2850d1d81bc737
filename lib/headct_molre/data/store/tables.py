"""The tables of the store as the newest migration leaves them.

Times are UTC without their zone, which SQLite does not keep. A change here comes with a migration; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, DateTime, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

STUDIES = Table(
    "studies",
    METADATA,
    Column("study", String(128), primary_key=True),
    Column("added_at", DateTime, nullable=False),
    Column("info", JSON, nullable=False),
    Column("path", Text),  # inside the studies folder; null while no images are known
    Column("format", String(16)),
    Column("fingerprint", String(64)),  # what images keep when they are moved: a file's size and time, a hash of the DICOM study's UID
    Column("present", Boolean, nullable=False),  # whether the images are there; a study that was read stays when they go
    Column("content_sha256", String(64)),  # of the images whose prediction was shown last
    Column("content_stamp", String(128)),  # size and time of the images when they were hashed
    Column("shuffle", Float, nullable=False),  # a random number from 0 to 1, by which a random study is found without listing them all
    Column("readers_required", Integer, nullable=False),
    # Kept in step with the submissions by the transactions that add them, so that no list of studies has to count them.
    Column("readings", Integer, nullable=False),  # readers who submitted since the study was last reopened
    Column("submissions", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),  # readings < readers_required
    Column("reopened_after", Integer, nullable=False),  # sequence of the last submission before the study was reopened
    Column("patient_key", String(64)),  # keyed hash of the patient's number; null: the study stands for a patient of its own
)
Index("studies_to_offer", STUDIES.c.present, STUDIES.c.is_open, STUDIES.c.shuffle)
Index("studies_to_offer_by_id", STUDIES.c.present, STUDIES.c.is_open, STUDIES.c.study)
Index("studies_read", STUDIES.c.present, STUDIES.c.submissions)
Index("studies_by_path", STUDIES.c.path)
Index("studies_by_content", STUDIES.c.content_sha256)

SUBMISSIONS = Table(
    "submissions",
    METADATA,
    Column("sequence", Integer, primary_key=True),  # order of arrival, which a clock that is set back cannot change
    Column("submission_id", String(36), nullable=False, unique=True),
    Column("study", String(128), nullable=False, index=True),
    Column("reader", String(128), nullable=False),
    Column("received_at", DateTime, nullable=False),
    Column("document", Text, nullable=False),
    Column("shown_probabilities", JSON),
)
Index("submissions_by_reader", SUBMISSIONS.c.reader, SUBMISSIONS.c.study, SUBMISSIONS.c.sequence)

PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("content_sha256", String(64), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("weights_sha256", String(64), primary_key=True),  # in development, a version may be built anew under its name
    Column("preparation", String(16), primary_key=True),
    Column("created_at", DateTime, nullable=False),
    Column("document", LargeBinary, nullable=False),  # JSON, compressed by zlib: of 75 x 36 numbers of evidence, a third remains
)

# What selection reads of all predictions: rows so small that 72,756 are read in a second, which their documents would take minutes for.
SUMMARIES = Table(
    "summaries",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),  # order of arrival, by which those are found that came since
    Column("content_sha256", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("weights_sha256", String(64), nullable=False),
    Column("preparation", String(16), nullable=False),
    Column("probabilities", LargeBinary, nullable=False),  # 75 little-endian float32 in taxonomy order
    Column("features", LargeBinary),  # of the study as a whole: d little-endian float16; null of predictions by older releases
)
_VERSION = (SUMMARIES.c.model, SUMMARIES.c.weights_sha256, SUMMARIES.c.preparation)
Index("summaries_of_content", *_VERSION, SUMMARIES.c.version, SUMMARIES.c.content_sha256, unique=True)

LEASES = Table(
    "leases",
    METADATA,
    Column("study", String(128), primary_key=True),
    Column("reader", String(128), primary_key=True),
    Column("taken_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False, index=True),
)

# Append-only, like submissions: that a study was offered or skipped, that one was reopened, how many readers it needs.
READING_EVENTS = Table(
    "reading_events",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("study", String(128), nullable=False, index=True),  # or * for all
    Column("reader", String(128), nullable=False, index=True),  # who did it
    Column("kind", String(32), nullable=False),  # offered, skipped, reopened, readers_required
    Column("reason", Text, nullable=False),  # of an offer: the strategy and why it chose the study
    Column("value", Integer),  # of an offer: 1 drawn at random, 0 chosen by a strategy; else the readers that a study needs
    Column("at", DateTime, nullable=False),
)

JOBS = Table(
    "jobs",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("job_id", String(36), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),  # batch_infer; later train
    Column("model", String(64)),
    Column("state", String(16), nullable=False, index=True),  # queued, running, succeeded, failed, cancelled, interrupted
    Column("owner", String(128), nullable=False),
    Column("request", JSON, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("result", JSON),
    Column("error", JSON),  # {code, message}
    Column("process", String(64)),  # which server process runs it
    Column("created_at", DateTime, nullable=False),
    Column("started_at", DateTime),
    Column("ended_at", DateTime),
    Column("updated_at", DateTime, nullable=False),
)

TOKENS = Table(
    "tokens",
    METADATA,
    Column("token_id", String(16), primary_key=True),  # names the token; not secret
    Column("reader", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime),
    Column("revoked_at", DateTime),
    Column("last_used_at", DateTime),
)

# Random bytes that never leave the store but in a backup.
SECRETS = Table(
    "secrets",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
)
