"""Training jobs without a server around them, on a store with a few readings; a stand-in is the process that trains."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.errors import NotFound
from headct_molre.server.config import ServerConfig
from headct_molre.training.finetune import FineTuneConfig
from lib.datastore import HeadCTDatastore
from lib.learning.training_jobs import TrainingJobs
from reading_room import FINDING, reading, register

MODEL = "demo"
FEW = FineTuneConfig(minimum_corrections=1)
LONG = 60.0


class LearningRoom:
    """A studies folder with its store and its training jobs; `behave` says what the stand-in does."""

    def __init__(self, studies: Path, **settings: object) -> None:
        studies.mkdir(exist_ok=True)
        self.studies = studies
        self.config = ServerConfig(studies=studies, **settings)
        self.config.private_folder.mkdir(exist_ok=True)
        self.store = StudyStore(sqlite_url(self.config.private_folder / "store.sqlite"))
        datastore = HeadCTDatastore(studies, self.store)
        app = SimpleNamespace(store=self.store, studies=str(studies), datastore=lambda: datastore, infer_task=_known)
        self.training = TrainingJobs(app, self.config, module="stand_in_trainer")

    def read(self, count: int = 3) -> None:
        """Has studies read, so that there is something to learn from."""
        for number, study in enumerate(register(self.store, count)):
            self.store.submissions.add(reading(study, "anna", **{FINDING: ("present", "absent")[number % 2]}))

    def behave(self, how: str) -> None:
        """Of the stand-in, from its next start on."""
        (self.studies / "behaviour").write_text(how)

    def starts(self, job_id: str) -> int:
        """How often the process of a job was started."""
        path = self.training.folder(job_id).path / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def until(self, job_id: str, *states: str):
        """The job, as soon as it is in one of these states."""
        return until(lambda: job if (job := self.store.jobs.get(job_id)).state in states else None)

    def close(self) -> None:
        """As a server stops."""
        self.training.stop()
        self.training.join(LONG)
        self.store.close()


def until(condition):
    """What the condition gives, as soon as that is something."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def _known(model: str) -> None:
    if model != MODEL:
        raise NotFound("unknown_model", "There is no such model.", field="model")


def main() -> None:
    """A server that starts a job which hangs, says its id, and waits to be killed."""
    room = LearningRoom(Path(sys.argv[1]))
    room.behave("hangs")
    room.training.begin()
    print(room.training.create(MODEL, FEW, "anna").job_id, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
