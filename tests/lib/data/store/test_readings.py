"""Who is offered which study, in both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from headct_molre.data.store import StudyStore
from headct_molre.data.store import readings as module
from headct_molre.errors import InvalidRequest, NotFound
from reading_room import reading, register

HOUR = 3600.0


def offered(store, reader, **how):
    offer = store.readings.offer(reader, HOUR, **({"order": "id"} | how))
    return offer and offer.lease.study


def all_offered(store, reader, order="id"):
    """Every study that a reader is offered one after the other when they skip none and read each."""
    found = []
    while (study := offered(store, reader, order=order)) is not None:
        found.append(study)
        store.submissions.add(reading(study, reader))
    return found


@pytest.fixture
def later(monkeypatch):
    """Sets the server's clock forward."""

    def move(seconds):
        before = module.now
        monkeypatch.setattr(module, "now", lambda: before() + timedelta(seconds=seconds))

    return move


def test_each_reader_gets_another_study_until_none_is_left(store):
    register(store, 3)
    assert [offered(store, reader) for reader in ("anna", "ben", "cleo", "dan")] == ["study-1", "study-2", "study-3", None]


@pytest.mark.parametrize("order", ["random", "id"])
def test_every_study_is_offered_once_in_all(store, order):
    names = register(store, 12)
    assert sorted(all_offered(store, "anna", order)) == sorted(names)
    assert offered(store, "ben", order=order) is None


def test_a_random_study_is_any_of_them(store):
    names = register(store, 4)
    with store.database.writing() as connection:
        for number, name in enumerate(names):
            connection.execute(text("UPDATE studies SET shuffle = :place WHERE study = :name"), {"place": 0.1 + number / 4, "name": name})
    drawn = set()
    for _ in range(80):  # one of four is missed once in 10^9 runs
        study = offered(store, "anna", order="random")
        store.readings.release(study, "anna")
        drawn.add(study)
    assert drawn == set(names)


def test_studies_without_images_are_not_offered(store):
    register(store, 2)
    store.studies.mark_absent(["study-1"])
    assert offered(store, "anna") == "study-2"


def test_a_client_that_crashed_gets_its_study_back(store):
    register(store, 3)
    first = store.readings.offer("anna", HOUR, "id")
    again = store.readings.offer("anna", HOUR, "random")
    assert (first.again, again.again) == (False, True)
    assert again.lease.study == first.lease.study
    assert again.lease.taken_at == first.lease.taken_at
    assert again.lease.expires_at > first.lease.expires_at


def test_another_study_gives_the_open_one_back(store):
    register(store, 2)
    assert offered(store, "anna") == "study-1"
    assert offered(store, "anna", another=True) == "study-2"
    assert offered(store, "ben") == "study-1"


def test_where_there_is_no_other_study_the_open_one_stays_open(store):
    register(store, 1)
    assert offered(store, "anna") == "study-1"
    assert offered(store, "anna", another=True) is None
    assert offered(store, "ben") is None
    assert offered(store, "anna") == "study-1"


def test_a_study_that_a_colleague_finished_meanwhile_is_not_offered_again(store):
    register(store, 2)
    assert offered(store, "anna") == "study-1"
    store.submissions.add(reading("study-1", "ben"))
    assert offered(store, "anna") == "study-2"


def test_an_expired_lease_is_none(store, later):
    register(store, 1)
    store.readings.offer("anna", 60, "id")
    assert offered(store, "ben") is None
    later(59)
    assert offered(store, "ben") is None
    later(2)
    assert offered(store, "ben") == "study-1"
    assert offered(store, "anna") is None


def test_rows_of_expired_leases_go_with_the_next_offer(store, later):
    register(store, 3)
    store.readings.lease("study-1", "anna", 60)
    later(61)
    offered(store, "ben")
    with store.database.reading() as connection:
        assert connection.execute(text("SELECT reader FROM leases")).scalars().all() == ["ben"]


def test_opening_by_hand_is_never_forbidden_and_tells_who_else_is_there(store, later):
    register(store, 1)
    first = store.readings.lease("study-1", "anna", 60)
    assert (first.lease.reader, first.others) == ("anna", [])
    second = store.readings.lease("study-1", "ben", HOUR)
    assert [lease.reader for lease in second.others] == ["anna"]
    renewed = store.readings.lease("study-1", "anna", 120)
    assert renewed.lease.taken_at == first.lease.taken_at
    assert renewed.lease.expires_at > first.lease.expires_at
    later(121)
    assert store.readings.lease("study-1", "ben", HOUR).others == []


def test_a_submission_ends_the_lease_of_its_reader(store):
    register(store, 1)
    store.readings.lease("study-1", "anna", HOUR)
    store.readings.lease("study-1", "ben", HOUR)
    store.submissions.add(reading("study-1", "anna"))
    assert [lease.reader for lease in store.readings.lease("study-1", "cleo", HOUR).others] == ["ben"]


def test_a_released_study_is_offered_to_the_next(store):
    register(store, 1)
    assert offered(store, "anna") == "study-1"
    assert store.readings.release("study-1", "anna")
    assert not store.readings.release("study-1", "anna")
    assert offered(store, "ben") == "study-1"


def test_a_skipped_study_is_offered_to_others_only_until_it_is_reopened(store):
    register(store, 1)
    assert offered(store, "anna") == "study-1"
    store.readings.skip("study-1", "anna", "motion")
    assert offered(store, "anna") is None
    assert offered(store, "ben") == "study-1"
    store.readings.release("study-1", "ben")
    store.readings.reopen("study-1", "ben", "another series came")
    assert offered(store, "anna") == "study-1"
    store.readings.skip("study-1", "anna", "still motion")
    assert offered(store, "anna") is None


def test_a_reopened_study_is_offered_to_all_and_its_label_still_counts_every_submission(store):
    register(store, 1)
    store.submissions.add(reading("study-1", "anna", hydrocephalus="present"))
    store.submissions.add(reading("study-1", "anna", hydrocephalus="present"))
    assert offered(store, "ben") is None
    state = store.readings.reopen("study-1", "cleo", "second look")
    assert (state.readings, state.is_open) == (0, True)
    assert offered(store, "anna") == "study-1"
    store.readings.release("study-1", "anna")
    store.submissions.add(reading("study-1", "ben", hydrocephalus="absent"))
    assert store.submissions.label("study-1") == {"hydrocephalus": "uncertain"}
    assert store.readings.state("study-1").model_dump() == {"study": "study-1", "readings": 1, "readers_required": 1, "is_open": False}
    store.submissions.add(reading("study-1", "anna", hydrocephalus="absent"))
    assert store.readings.state("study-1").readings == 2
    store.submissions.add(reading("study-1", "anna", hydrocephalus="absent"))
    assert store.readings.state("study-1").readings == 2
    assert store.readings.state("study-1").is_open is False


def test_a_study_can_need_two_readers(store):
    register(store, 2)
    assert store.readings.require(["study-1"], 2, "cleo") == 1
    assert [offered(store, reader) for reader in ("anna", "ben", "cleo", "dan")] == ["study-1", "study-1", "study-2", None]
    store.submissions.add(reading("study-1", "anna"))
    store.submissions.add(reading("study-1", "anna"))  # a correction is not a second reading
    assert store.readings.state("study-1").is_open
    assert offered(store, "dan") is None  # ben has it open and is the second
    store.submissions.add(reading("study-1", "ben"))
    assert not store.readings.state("study-1").is_open
    store.readings.require(["study-1"], 3, "cleo")
    assert offered(store, "anna") is None
    assert offered(store, "dan") == "study-1"


def test_a_reader_who_corrects_takes_no_room(store):
    register(store, 1)
    store.readings.require(None, 2, "cleo")
    store.submissions.add(reading("study-1", "anna"))
    store.readings.lease("study-1", "anna", HOUR)
    assert offered(store, "ben") == "study-1"


def test_all_studies_can_need_two_readers_and_one_again(store):
    register(store, 3)
    store.submissions.add(reading("study-1", "anna"))
    assert store.readings.require(None, 2, "cleo") == 3
    assert store.studies.totals()["open"] == 3
    assert store.readings.require(None, 1, "cleo") == 3
    assert store.studies.totals()["open"] == 2
    assert store.readings.require(["study-1", "study-2", "study-2"], 1, "cleo") == 0


def test_a_later_study_needs_as_many_readers_as_the_server_says(store_url):
    store = StudyStore(store_url, readers_per_study=2)
    register(store, 1)
    assert [offered(store, reader) for reader in ("anna", "ben", "cleo")] == ["study-1", "study-1", None]
    store.close()


def test_the_first_eligible_of_a_list_is_offered(store):
    names = register(store, 130)
    wanted = list(reversed(names))
    store.readings.skip("study-130", "anna", "no")
    store.readings.lease("study-129", "ben", HOUR)
    store.submissions.add(reading("study-128", "ben"))
    assert store.readings.offer_first("anna", ["unknown", *wanted], HOUR).lease.study == "study-127"
    assert store.readings.offer_first("anna", wanted, HOUR).again
    assert store.readings.offer_first("anna", wanted, HOUR, another=True).lease.study == "study-126"
    assert store.readings.offer_first("dan", [], HOUR) is None
    for study in wanted[:110]:
        store.readings.lease(study, "ben", HOUR)
    assert store.readings.offer_first("dan", wanted[:110], HOUR) is None
    assert store.readings.offer_first("dan", wanted, HOUR).lease.study == "study-20"


@pytest.mark.parametrize("reader", ["", " ", "a" * 129, "a\nb", "a\x00", " anna", "\ud800"])
def test_a_reader_has_a_name(store, reader):
    register(store, 1)
    calls = [
        lambda: store.readings.offer(reader, HOUR),
        lambda: store.readings.offer_first(reader, ["study-1"], HOUR),
        lambda: store.readings.lease("study-1", reader, HOUR),
        lambda: store.readings.skip("study-1", reader, "no"),
        lambda: store.readings.reopen("study-1", reader, "no"),
        lambda: store.readings.require(None, 2, reader),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest) as refused:
            call()
        assert refused.value.code == "invalid_reader"
    assert store.readings.history("study-1") == []


@pytest.mark.parametrize("reason", ["", " \n", "x" * 1001, "a\x00", "\ud800"])
def test_a_reason_is_needed(store, reason):
    register(store, 1)
    for call in (store.readings.skip, store.readings.reopen):
        with pytest.raises(InvalidRequest) as refused:
            call("study-1", "anna", reason)
        assert (refused.value.code, refused.value.field) == ("invalid_reason", "reason")


@pytest.mark.parametrize("readers", [0, -1, 21])
def test_a_number_of_readers_is_one_that_a_department_has(store, readers):
    with pytest.raises(InvalidRequest) as refused:
        store.readings.require(None, readers, "anna")
    assert refused.value.code == "invalid_readers_required"


def test_an_unknown_study_is_not_found_and_nothing_changes(store):
    register(store, 1)
    calls = [
        lambda: store.readings.lease("unknown", "anna", HOUR),
        lambda: store.readings.skip("unknown", "anna", "no"),
        lambda: store.readings.reopen("unknown", "anna", "no"),
        lambda: store.readings.state("unknown"),
        lambda: store.readings.require(["study-1", "unknown"], 2, "anna"),
    ]
    for call in calls:
        with pytest.raises(NotFound) as refused:
            call()
        assert refused.value.code == "unknown_study"
    assert store.readings.state("study-1").readers_required == 1
    assert store.readings.history("study-1") == []


@pytest.mark.parametrize("statement", ["DELETE FROM reading_events", "UPDATE reading_events SET reader = 'x'"])
def test_the_database_itself_refuses_to_change_an_event(store, statement):
    register(store, 1)
    store.readings.skip("study-1", "anna", "motion")
    with pytest.raises(DBAPIError, match="append-only"), store.database.engine.begin() as connection:
        connection.execute(text(statement))
