"""The study store: which studies there are, who reads them, what readers submitted, what models predicted, and the server's jobs.

One database (SQLite in WAL mode, or PostgreSQL by URL), opened as `StudyStore(url)`; one part for each concern. Submissions are
append-only: a correction is a new submission, nothing is ever overwritten, and a label is derived on demand (`labels`).
"""

from .folder import FolderImages, FolderRegistry, FolderStudy
from .jobs import Job, JobConflict, Jobs
from .labels import derive_label
from .predictions import Predictions
from .reading_history import Reading, ReadingEvent, ReadingOfMine
from .readings import Lease, Offer, OpenedStudy, Readings, ReadingState
from .store import StudyStore
from .studies import Studies, StudyImages
from .study_list import StudySummary
from .submissions import SubmissionRecord, Submissions
from .tokens import TokenRecord, Tokens
from .url import sqlite_url

__all__ = [
    "FolderImages",
    "FolderRegistry",
    "FolderStudy",
    "Job",
    "JobConflict",
    "Jobs",
    "Lease",
    "Offer",
    "OpenedStudy",
    "Predictions",
    "Reading",
    "ReadingEvent",
    "ReadingOfMine",
    "ReadingState",
    "Readings",
    "Studies",
    "StudyImages",
    "StudyStore",
    "StudySummary",
    "SubmissionRecord",
    "Submissions",
    "TokenRecord",
    "Tokens",
    "derive_label",
    "sqlite_url",
]
