"""What happened to a study, what a reader did, and which readings can be compared, in both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from headct_molre.errors import InvalidRequest
from reading_room import reading, register

HOUR = 3600.0


def test_the_history_tells_who_did_what_in_order_of_time(store):
    register(store, 2)
    sent = reading("study-1", "anna")
    store.submissions.add(sent)
    store.readings.skip("study-1", "ben", "  motion\nin all slices ")
    store.readings.skip("study-2", "ben", "elsewhere")
    store.readings.reopen("study-1", "cleo", "look again")
    store.readings.require(["study-1"], 2, "cleo")
    store.readings.require(None, 3, "cleo")
    store.submissions.add(reading("study-1", "ben"))
    events = store.readings.history("study-1")
    assert [(event.kind, event.reader, event.reason, event.value) for event in events] == [
        ("submitted", "anna", None, None),
        ("skipped", "ben", "motion\nin all slices", None),
        ("reopened", "cleo", "look again", None),
        ("readers_required", "cleo", None, 2),
        ("readers_required", "cleo", None, 3),
        ("submitted", "ben", None, None),
    ]
    assert events[0].submission_id == str(sent.submission_id)
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert store.readings.history("unknown") == []


def test_the_history_of_a_study_begins_when_it_is_registered(store):
    register(store, 1)
    store.readings.require(None, 2, "cleo")
    register(store, 2)
    assert [event.value for event in store.readings.history("study-1")] == [2]
    assert store.readings.history("study-2") == []


def test_the_history_tells_no_calls_and_no_comments(store):
    register(store, 1)
    store.submissions.add(reading("study-1", "anna").model_copy(update={"comment": "subtle bleed"}))
    (event,) = store.readings.history("study-1")
    assert "bleed" not in event.model_dump_json()
    assert "hydrocephalus" not in event.model_dump_json()


def test_mine_lists_each_study_once_by_what_i_did_last(store):
    register(store, 5)
    store.submissions.add(reading("study-1", "anna"))
    store.readings.skip("study-2", "anna", "motion")
    store.readings.lease("study-3", "anna", HOUR)
    store.readings.lease("study-4", "anna", 0.000001)
    store.submissions.add(reading("study-2", "anna"))
    store.readings.lease("study-1", "anna", HOUR)
    store.readings.skip("study-5", "anna", "wrong patient")
    store.submissions.add(reading("study-4", "ben"))
    mine = store.readings.mine("anna")
    assert [(entry.study, entry.state, entry.reason) for entry in mine] == [
        ("study-5", "skipped", "wrong patient"),
        ("study-1", "open", None),
        ("study-2", "read", None),
        ("study-3", "open", None),
    ]
    assert [entry.expires_at is not None for entry in mine] == [False, True, False, True]
    assert store.readings.mine("anna", limit=2, offset=1) == mine[1:3]
    assert store.readings.mine("dan") == []


def test_a_skip_is_over_when_the_study_is_reopened(store):
    register(store, 1)
    store.readings.skip("study-1", "anna", "motion")
    store.readings.reopen("study-1", "ben", "repaired")
    assert store.readings.mine("anna") == []


def test_readings_of_several_are_the_latest_of_each_reader(store):
    register(store, 3)
    for study, reader, state in [
        ("study-1", "anna", "absent"),
        ("study-1", "ben", "absent"),
        ("study-1", "anna", "present"),
        ("study-2", "anna", "absent"),
        ("study-2", "anna", "present"),
    ]:
        store.submissions.add(reading(study, reader, hydrocephalus=state))
    assert store.readings.by_several() == [
        ("study-1", "anna", {"hydrocephalus": "present"}),
        ("study-1", "ben", {"hydrocephalus": "absent"}),
    ]


def test_readings_of_several_since_a_time(store):
    register(store, 1)
    for reader in ("anna", "ben"):
        store.submissions.add(reading("study-1", reader))
    between = datetime.now(UTC)
    assert store.readings.by_several(between) == []
    for reader in ("anna", "cleo"):
        store.submissions.add(reading("study-1", reader))
    assert [each.reader for each in store.readings.by_several(between)] == ["anna", "cleo"]
    assert len(store.readings.by_several(between - timedelta(days=1))) == 3


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_calendar_holds_is_refused(store, since):
    with pytest.raises(InvalidRequest) as refused:
        store.readings.by_several(datetime.fromisoformat(since))
    assert refused.value.code == "invalid_since"
