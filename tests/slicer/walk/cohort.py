"""Phantoms for the story: a few to be looked at, and many small ones that a colleague reads, so that there is something to learn."""

from __future__ import annotations

import csv
import shutil
import uuid
from pathlib import Path

from .server import StoryServer

LOOKED_AT = (3, 2, 1)  # phantoms of seed 0, the one with most findings first, for the pictures
DIFFERENT, COPIES = 4, 12  # copies of one content are predicted once, which keeps the story short
COLLEAGUE = "ben"


def put_studies(server: StoryServer) -> None:
    """Fills the studies folder: head-ct-01 and on, and read-01-1 and on."""
    server.studies.mkdir(parents=True)
    large, small = server.folder / "large", server.folder / "small"
    server.run("phantom", str(large), "--count", str(len(LOOKED_AT)), "--seed", "0", "--matrix", "256")
    server.run("phantom", str(small), "--count", str(DIFFERENT), "--seed", "0", "--matrix", "128")
    for place, number in enumerate(LOOKED_AT, 1):
        (large / f"phantom-{number:04d}.nii.gz").rename(server.studies / f"head-ct-{place:02d}.nii.gz")
    for number in range(1, DIFFERENT + 1):
        for copy in range(1, COPIES + 1):
            shutil.copy(small / f"phantom-{number:04d}.nii.gz", server.studies / f"read-{number:02d}-{copy}.nii.gz")


def read_as_colleague(server: StoryServer) -> int:
    """The colleague reads whatever is offered at random, as the phantoms were made; how many studies."""
    truth = _truth(server.folder / "small" / "cohort.csv")
    count = 0
    while offer := server.ask("POST", "/activelearning/random", {"client_id": COLLEAGUE}):
        study = str(offer["id"])
        server.ask("POST", f"/infer/demo?image={study}&output=json")
        states = truth[f"phantom-{int(study.split('-')[1]):04d}"] if study.startswith("read-") else {"sinusitis": "uncertain"}
        document = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": study, "reader": COLLEAGUE}
        server.ask("POST", "/headct/submissions", document | {"model": None, "findings": states})
        count += 1
    return count


def _truth(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["study"]: {key: value for key, value in row.items() if value in ("present", "absent")} for row in rows}
