"""Submissions: append-only, one record for a retry, with the probabilities that their reader saw."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from headct_molre.data.store import StudyStore
from headct_molre.errors import InvalidRequest
from headct_molre.schema import Submission
from store_contents import HYDROCEPHALUS, MIDLINE_SHIFT, assert_consistent, prediction, sql, submission


def test_submissions_are_kept_in_the_order_of_their_arrival(store):
    sent = [submission(reader) for reader in ("anna", "ben", "anna")]
    for each in sent:
        store.submissions.add(each)
    assert [record.submission for record in store.submissions.of("study-1")] == sent
    assert store.submissions.of("study-2") == []
    assert store.submissions.counts() == {"study-1": 3}


def test_what_arrived_after_a_submission_is_found_by_its_sequence(store):
    assert (store.submissions.last_sequence(), store.submissions.studies_after(0)) == (0, set())
    for study in ("study-1", "study-2"):
        store.submissions.add(submission(study=study))
    first = store.submissions.last_sequence()
    store.submissions.add(submission("ben"))
    assert store.submissions.last_sequence() > first
    assert store.submissions.studies_after(0) == {"study-1", "study-2"}
    assert store.submissions.studies_after(first) == {"study-1"}
    assert store.submissions.studies_after(store.submissions.last_sequence()) == set()


def test_a_snapshot_up_to_a_sequence_never_grows(store):
    """One who has a sequence and has not committed yet holds up whoever would get the next one."""
    has_sequence, may_commit = threading.Event(), threading.Event()

    @event.listens_for(store.database.engine, "after_cursor_execute")
    def _first_waits(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO submissions") and not has_sequence.is_set():
            has_sequence.set()
            may_commit.wait(30)

    def snapshot():
        last = store.submissions.last_sequence()
        return last, store.submissions.studies_after(0) - store.submissions.studies_after(last)

    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(store.submissions.add, submission(study="study-1"))]
        assert has_sequence.wait(30)
        sent.append(pool.submit(store.submissions.add, submission("ben", study="study-2")))
        sent.append(pool.submit(store.submissions.add_many, [(submission("cleo", study="study-3"), None)]))
        assert wait(sent, timeout=0.5).done == set()
        before = snapshot()
        may_commit.set()
        for each in sent:
            each.result(30)
    assert before == (0, set())
    assert snapshot()[1] == {"study-1", "study-2", "study-3"}


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


def test_the_latest_submission_of_a_reader_replaces_the_earlier_ones(store):
    store.submissions.add(submission("anna", **{HYDROCEPHALUS: "present", MIDLINE_SHIFT: "present"}))
    store.submissions.add(submission("ben", **{HYDROCEPHALUS: "absent"}))
    store.submissions.add(submission("anna", **{HYDROCEPHALUS: "absent"}))
    assert store.submissions.label("study-1") == {HYDROCEPHALUS: "absent"}


def test_records_are_finite_json(store):
    record = store.submissions.add(submission())
    document = json.loads(record.model_dump_json(by_alias=True))
    assert document["received_at"].endswith("Z")
    assert document["submission"]["schema"] == "headct.submission/1"


CHANGES = {
    "sqlite": [
        "DELETE FROM submissions",
        "UPDATE submissions SET reader = 'x'",
        "REPLACE INTO submissions SELECT sequence, submission_id, study, 'x', received_at, document, NULL FROM submissions",
        "REPLACE INTO submissions SELECT sequence + 9, submission_id, study, 'x', received_at, document, NULL FROM submissions",
    ],
    "postgresql": [
        "DELETE FROM submissions",
        "UPDATE submissions SET reader = 'x'",
        "TRUNCATE submissions",
        "INSERT INTO submissions SELECT * FROM submissions ON CONFLICT (sequence) DO UPDATE SET reader = 'x'",
    ],
}


@pytest.mark.parametrize("number", range(4))
def test_the_database_itself_refuses_to_change_a_submission(store, store_url, number):
    sent = submission()
    store.submissions.add(sent)
    statement = CHANGES["sqlite" if store.database.is_sqlite else "postgresql"][number]
    with pytest.raises(DBAPIError, match="append-only"):
        sql(store_url, statement)
    assert [record.submission for record in store.submissions.of("study-1")] == [sent]


def test_the_counters_of_a_study_follow_its_submissions_under_many_writers(store, store_url):
    """Two servers, 8 threads, 4 studies, readers who correct themselves, and every third submission sent twice."""
    second = StudyStore(store_url, readers_per_study=3)

    def read(thread):
        for number in range(12):
            sent = submission(f"reader-{(thread + number) % 5}", f"study-{number % 4}")
            (store, second)[thread % 2].submissions.add(sent)
            if number % 3 == 0:
                (second, store)[thread % 2].submissions.add(sent)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    second.close()
    assert sum(store.submissions.counts().values()) == 96
    assert_consistent(store_url)


@pytest.mark.parametrize("change", [{"reader": "an\x00na"}, {"model": {"name": "demo", "version": "1\x00"}}])
def test_text_that_no_database_can_search_is_refused_with_the_field(store, change):
    sent = Submission.model_validate({**json.loads(submission().model_dump_json(by_alias=True)), **change})
    with pytest.raises(InvalidRequest) as refused:
        store.submissions.add(sent)
    assert (refused.value.code, refused.value.field) == ("invalid_text", "reader" if "reader" in change else "model.version")


def test_any_comment_comes_back_as_it_was_written(store):
    sent = submission().model_copy(update={"comment": "NUL \x00, quote ', ü, 医, \U0001f9e0"})
    store.submissions.add(sent)
    assert [record.submission for record in store.submissions.of("study-1")] == [sent]
