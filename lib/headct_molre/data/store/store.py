"""The store as one object: its database, brought to the newest schema, and one part for each concern."""

from __future__ import annotations

from .database import LOCK_WAIT_S, Database
from .folder import FolderRegistry
from .jobs import Jobs
from .labels import DEFAULT_RULE
from .migrate import migrate
from .predictions import Predictions
from .readings import Readings
from .studies import Studies
from .study_list import StudyList
from .submissions import Submissions
from .summaries import Summaries
from .tokens import Tokens


class StudyStore:
    """Submissions, predictions, studies and their readers in one database; safe to share between threads and processes.

    `readers_per_study` is how many readers a study needs that is registered from now on, `label_rule` how labels follow from readings.
    """

    def __init__(self, url: str, readers_per_study: int = 1, lock_wait_s: float = LOCK_WAIT_S, *, label_rule: str = DEFAULT_RULE) -> None:
        """Opens the database and brings it to the newest schema.

        Raises InvalidRequest `invalid_store_url` or `unknown_label_rule`, StoreUnavailable.
        """
        self.database = Database(url, lock_wait_s)
        try:
            migrate(self.database)
        except BaseException:
            self.database.close()
            raise
        self.studies = Studies(self.database, readers_per_study)
        self.study_list = StudyList(self.database)
        self.folder = FolderRegistry(self.database, readers_per_study)
        self.predictions = Predictions(self.database)
        self.summaries = Summaries(self.database)
        self.jobs = Jobs(self.database)
        self.submissions = Submissions(self.database, self.predictions, readers_per_study, label_rule)
        self.readings = Readings(self.database)
        self.tokens = Tokens(self.database)

    def close(self) -> None:
        """Closes the connections; the store cannot be used afterwards."""
        self.database.close()
