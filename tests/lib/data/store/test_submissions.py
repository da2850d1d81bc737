"""The study store: append-only submissions, one record for a retry, derived labels, nothing lost to a kill."""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.errors import InvalidRequest
from headct_molre.findings import finding_keys
from headct_molre.schema import Prediction, Submission

HYDROCEPHALUS, MIDLINE_SHIFT = "hydrocephalus", "midline_shift"


@pytest.fixture
def store(tmp_path):
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    yield store
    store.close()


def submission(reader="anna", study="study-1", shown=None, **findings):
    model = None if shown is None else {"name": shown, "version": "1"}
    document = {"submission_id": str(uuid.uuid4()), "study": study, "reader": reader, "model": model}
    return Submission.model_validate(document | {"findings": findings or {HYDROCEPHALUS: "present"}})


def prediction(study="study-1", probability=0.25, weights="0" * 64):
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


def test_submissions_are_kept_in_the_order_of_their_arrival(store):
    sent = [submission(reader) for reader in ("anna", "ben", "anna")]
    for each in sent:
        store.submissions.add(each)
    assert [record.submission for record in store.submissions.of("study-1")] == sent
    assert store.submissions.of("study-2") == []
    assert store.submissions.counts() == {"study-1": 3}


def test_a_retry_is_stored_once_and_answered_with_the_first_record(store):
    sent = submission()
    first = store.submissions.add(sent)
    assert store.submissions.add(sent) == first
    assert len(store.submissions.of("study-1")) == 1


def test_simultaneous_retries_are_stored_once(store):
    sent = submission()
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(store.submissions.add, [sent] * 16))
    assert all(record == records[0] for record in records)
    assert len(store.submissions.of("study-1")) == 1


def test_an_id_cannot_be_used_for_other_content(store):
    sent = submission()
    store.submissions.add(sent)
    with pytest.raises(InvalidRequest) as refused:
        store.submissions.add(sent.model_copy(update={"reader": "ben"}))
    assert refused.value.code == "submission_conflict"


@pytest.mark.parametrize("statement", ["DELETE FROM submissions", "UPDATE submissions SET reader = 'x'"])
def test_the_database_itself_refuses_to_change_a_submission(store, tmp_path, statement):
    store.submissions.add(submission())
    engine = create_engine(sqlite_url(tmp_path / "store.sqlite"))
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_submission_records_the_probabilities_that_its_reader_saw(store):
    store.predictions.put("a" * 64, prediction())
    assert store.submissions.add(submission(shown="demo")).shown_probabilities is None  # shown for no study yet
    store.studies.set_content("study-1", "a" * 64)
    assert store.submissions.add(submission(shown="demo")).shown_probabilities[HYDROCEPHALUS] == 0.25
    assert store.submissions.add(submission(shown="other")).shown_probabilities is None
    assert store.submissions.add(submission()).shown_probabilities is None
    assert store.submissions.add(submission(study="study-2", shown="demo")).shown_probabilities is None


def test_of_rebuilt_weights_the_latest_probabilities_were_shown(store):
    store.predictions.put("a" * 64, prediction())
    store.predictions.put("a" * 64, prediction(probability=0.75, weights="1" * 64))
    store.studies.set_content("study-1", "a" * 64)
    assert store.submissions.add(submission(shown="demo")).shown_probabilities[HYDROCEPHALUS] == 0.75


def test_the_first_prediction_of_a_version_on_the_same_images_stays(store):
    first = prediction()
    assert store.predictions.get("a" * 64, first.model) is None
    store.predictions.put("a" * 64, first)
    store.predictions.put("a" * 64, prediction(probability=0.75))
    assert store.predictions.get("a" * 64, first.model) == first
    assert store.predictions.get("b" * 64, first.model) is None


@pytest.mark.parametrize("change", [{"name": "other"}, {"version": "2"}, {"weights_sha256": "1" * 64}])
def test_another_model_version_or_weights_are_not_answered_with_this_prediction(store, change):
    first = prediction()
    store.predictions.put("a" * 64, first)
    assert store.predictions.get("a" * 64, first.model.model_copy(update=change)) is None


def test_a_stored_prediction_that_is_no_longer_valid_counts_as_absent_and_is_replaced(store, tmp_path):
    store.predictions.put("a" * 64, prediction())
    store.studies.set_content("study-1", "a" * 64)
    engine = create_engine(sqlite_url(tmp_path / "store.sqlite"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE predictions SET document = X'7B7D'"))
    engine.dispose()
    assert store.predictions.get("a" * 64, prediction().model) is None
    assert store.submissions.add(submission(shown="demo")).shown_probabilities is None
    store.predictions.put("a" * 64, prediction(probability=0.75))
    assert store.predictions.get("a" * 64, prediction().model) == prediction(probability=0.75)


def test_notes_on_a_study_are_merged(store):
    assert store.studies.info("study-1") == {}
    store.studies.update_info("study-1", {"a": 1, "b": 1})
    store.studies.update_info("study-1", {"b": 2})
    assert store.studies.info("study-1") == {"a": 1, "b": 2}


def test_simultaneous_notes_are_all_kept(store, tmp_path):
    """Half of the threads write through a second store, as a second process does."""
    second = StudyStore(sqlite_url(tmp_path / "store.sqlite"))

    def note(thread):
        for number in range(10):
            (store, second)[thread % 2].studies.update_info("study-1", {f"{thread}-{number}": number})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(note, range(6)))
    second.close()
    info = store.studies.info("study-1")
    assert info == {f"{thread}-{number}": number for thread in range(6) for number in range(10)}


def test_the_latest_submission_of_a_reader_replaces_the_earlier_ones(store):
    store.submissions.add(submission("anna", **{HYDROCEPHALUS: "present", MIDLINE_SHIFT: "present"}))
    store.submissions.add(submission("ben", **{HYDROCEPHALUS: "absent"}))
    store.submissions.add(submission("anna", **{HYDROCEPHALUS: "absent"}))
    assert store.submissions.label("study-1") == {HYDROCEPHALUS: "absent"}


_WRITER = """
import sys, uuid
from headct_molre.data.store import StudyStore
from headct_molre.schema import Submission
store = StudyStore(sys.argv[1])
while True:
    number = str(uuid.uuid4())
    findings = {"hydrocephalus": "present"}
    store.submissions.add(Submission(submission_id=number, study="study-1", reader="anna", model=None, findings=findings))
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    url = sqlite_url(tmp_path / "store.sqlite")
    acknowledged = []
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, url], stdout=subprocess.PIPE, text=True)
        acknowledged += [writer.stdout.readline().strip() for _ in range(15)]
        writer.kill()
        acknowledged += [line.strip() for line in writer.stdout.read().splitlines() if len(line.strip()) == 36]
        writer.wait()
    store = StudyStore(url)
    stored = {str(record.submission.submission_id) for record in store.submissions.of("study-1")}
    store.close()
    assert len(acknowledged) >= 45
    assert set(acknowledged) <= stored


def test_records_are_finite_json(store):
    record = store.submissions.add(submission())
    document = json.loads(record.model_dump_json(by_alias=True))
    assert document["received_at"].endswith("Z")
    assert document["submission"]["schema"] == "headct.submission/1"
