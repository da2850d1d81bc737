"""Studies and readings for tests of many readers."""

from __future__ import annotations

import uuid

from headct_molre.data.store import StudyImages, StudyStore
from headct_molre.schema import Submission

FINDING = "hydrocephalus"


def register(store: StudyStore, count: int) -> list[str]:
    """Registers study-1, study-2, ... with images."""
    names = [f"study-{number}" for number in range(1, count + 1)]
    store.studies.register(StudyImages(name, f"{name}.nii.gz", "nifti") for name in names)
    return names


def reading(study: str, reader: str, **findings: str) -> Submission:
    """A submission of a reader with an id of its own."""
    document = {"submission_id": str(uuid.uuid4()), "study": study, "reader": reader, "model": None}
    return Submission.model_validate(document | {"findings": findings or {FINDING: "present"}})
