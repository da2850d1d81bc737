"""Stores with something of everything in them, for tests of what moves or checks a store."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from headct_molre.data.store import StudyImages, StudyStore
from headct_molre.data.store.tables import JOBS, LEASES, READING_EVENTS, TOKENS
from headct_molre.findings import finding_keys
from headct_molre.schema import Submission
from store_contents import prediction

NOW = datetime(2026, 5, 17, 12, 30, 1, 250)


def submission(study="study-1", reader="anna", model=None, number=None, comment="", **findings):
    """A submission; `number` gives it an id that is the same each time."""
    submission_id = uuid.uuid4() if number is None else uuid.UUID(int=number)
    shown = None if model is None else {"name": model, "version": "1"}
    document = {"submission_id": str(submission_id), "study": study, "reader": reader, "model": shown, "comment": comment}
    return Submission.model_validate(document | {"findings": findings or {"hydrocephalus": "present"}})


def fill(store: StudyStore, studies: int = 30, seed: int = 0) -> None:
    """Studies with and without images, two readers, predictions, a reopened study, leases, jobs, tokens."""
    rng = random.Random(seed)
    keys, states = finding_keys(), ("present", "absent", "uncertain", "not_assessed")
    store.studies.register(StudyImages(f"study-{i}", f"ward {i}/study-{i}.nii.gz", "nifti") for i in range(studies))
    store.studies.mark_absent(["study-2"])
    store.studies.update_info("study-3", {"note": 'Füße\n"quoted" \u2028 \0', "deep": [1, None, {"x": 0.1}]})
    store.studies.update_info("study-4", {"patient": "0815"})
    for i in range(0, studies, 2):
        store.studies.set_content(f"study-{i}", f"{i:064x}", "stamp")
        store.predictions.put(f"{i:064x}", prediction(f"study-{i}", rng.random()))
    for i in range(studies):
        for reader in ("anna", "Jürgen Ø") if i % 3 == 0 else ("anna",):
            calls = {key: rng.choice(states) for key in rng.sample(keys, 20)}
            store.submissions.add(submission(f"study-{i}", reader, "demo" if i % 2 else None, comment=f"line {i}\n\0 „so“", **calls))
    store.submissions.add(submission("elsewhere", "anna"))
    later = NOW + timedelta(hours=1)
    with store.database.writing() as connection:
        connection.execute(insert(LEASES), [{"study": "study-4", "reader": "ben", "taken_at": NOW, "expires_at": later}])
        event = {"study": "study-5", "reader": "ben", "kind": "skipped", "reason": "motion", "at": NOW}
        connection.execute(insert(READING_EVENTS), [{**event, "value": None}, {**event, "kind": "readers_required", "value": 2}])
        times = {"created_at": NOW, "updated_at": later}
        job = {"kind": "batch_infer", "state": "succeeded", "owner": "anna", "request": {"images": "all"}, "progress": {"done": 3}}
        connection.execute(insert(JOBS), [{**times, **job, "job_id": str(uuid.UUID(int=1)), "started_at": NOW, "result": {"x": 0.5}}])
        connection.execute(insert(JOBS), [{**times, **job, "job_id": str(uuid.UUID(int=2)), "state": "queued", "error": None}])
        token = {"token_id": "abc", "reader": "anna", "role": "admin", "secret_sha256": "a" * 64, "created_at": NOW}
        connection.execute(insert(TOKENS), [token])


def utc(*when: int) -> datetime:
    """A time with its zone."""
    return datetime(*when, tzinfo=UTC)
