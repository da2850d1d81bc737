"""Submissions and predictions for tests of the store, and what must hold in every store whatever happened to it."""

from __future__ import annotations

import uuid

from sqlalchemy import create_engine, text

from headct_molre.data.store.url import parsed_url
from headct_molre.findings import finding_keys
from headct_molre.schema import Prediction, Submission

HYDROCEPHALUS, MIDLINE_SHIFT = "hydrocephalus", "midline_shift"


def submission(reader="anna", study="study-1", shown=None, submission_id=None, **findings):
    """A valid Submission with an id of its own; `shown` names the model that was on screen."""
    model = None if shown is None else {"name": shown, "version": "1"}
    document = {"submission_id": submission_id or str(uuid.uuid4()), "study": study, "reader": reader, "model": model}
    return Submission.model_validate(document | {"findings": findings or {HYDROCEPHALUS: "present"}})


def prediction(study="study-1", probability=0.25, weights="0" * 64):
    """A valid Prediction without slices, with one probability for all findings."""
    keys = finding_keys()
    finding = {"probability": probability, "logit": 0.0, "bias": 0.0, "operating_point": None, "positive": None, "estimable": False}
    document = {
        "study": study,
        "model": {"name": "demo", "version": "1", "backbone": "b", "adapter": "a", "demo": True, "weights_sha256": weights},
        "device": "cpu",
        "findings": [{"key": key, **finding} for key in keys],
        "router_level": "slice",
        "slices": [],
        "evidence": [[] for _ in keys],
        "frame": {"model_to_ras": [[0.0]], "shape": [1, 1, 1], "spacing_mm": [1, 1, 1]},
        "quality": {"accepted": True, "warnings": [], "facts": {}},
        "timing_ms": {},
    }
    return Prediction.model_validate(document)


def sql(url, statement, **values):
    """Rows of one statement, over a connection that the store knows nothing of."""
    engine = create_engine(parsed_url(url))
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else []
    finally:
        engine.dispose()


_COUNTED = """
SELECT studies.study, studies.submissions, studies.readings, studies.is_open,
       count(s.sequence), count(DISTINCT CASE WHEN s.sequence > studies.reopened_after THEN s.reader END), studies.readers_required
FROM studies LEFT JOIN submissions s ON s.study = studies.study
GROUP BY studies.study, studies.submissions, studies.readings, studies.is_open, studies.readers_required
"""


def assert_consistent(url):
    """Every counter of a study is what its submissions say, every submission has a study, and the file is whole."""
    for study, submissions, readings, is_open, counted, readers, required in sql(url, _COUNTED):
        assert (study, submissions, readings, bool(is_open)) == (study, counted, readers, readers < required)
    assert sql(url, "SELECT count(*) FROM submissions WHERE study NOT IN (SELECT study FROM studies)") == [(0,)]
    assert sql(url, "SELECT count(*) - count(DISTINCT submission_id) FROM submissions") == [(0,)]
    if parsed_url(url).get_backend_name() == "sqlite":
        assert sql(url, "PRAGMA integrity_check") == [("ok",)]
