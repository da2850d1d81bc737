"""Every new offer is noted, with whether it was drawn at random: the sample that no score chose."""

from datetime import UTC, datetime, timedelta

from headct_molre.data.transfer import check_store
from reading_room import reading, register
from store_contents import sql

HOUR = 3600.0
EVENTS = "SELECT study, reader, value, reason FROM reading_events WHERE kind = 'offered' ORDER BY sequence"


def test_an_offer_is_noted_once_with_its_kind_and_reason(store, store_url):
    register(store, 3)
    drawn = store.readings.offer("anna", HOUR, "random", reason="random: drawn")
    assert store.readings.offer("anna", HOUR, "id").again
    by_id = store.readings.offer("ben", HOUR, "id")
    (left,) = {"study-1", "study-2", "study-3"} - {drawn.lease.study, by_id.lease.study}
    ranked = store.readings.offer_first("cleo", [left], HOUR, reasons={left: "rarity_entropy: because"})
    assert [drawn.random, by_id.random, ranked.random] == [True, False, False]
    assert [tuple(row) for row in sql(store_url, EVENTS)] == [
        (drawn.lease.study, "anna", 1, "random: drawn"),
        (by_id.lease.study, "ben", 0, "id"),
        (left, "cleo", 0, "rarity_entropy: because"),
    ]
    assert check_store(store.database).consistent


def test_what_is_open_already_says_how_it_was_offered(store):
    register(store, 2)
    assert store.readings.offer("anna", HOUR, "random").random
    assert store.readings.offer("anna", HOUR, "id").random, "it came at random, whoever asks how"
    store.readings.lease("study-1", "ben", HOUR)
    assert not store.readings.offer("ben", HOUR, "random").random, "it was opened by its id"


def test_a_study_is_of_the_random_sample_when_its_first_offer_was_drawn(store):
    register(store, 4)
    store.readings.require(None, 2, "dan")
    store.readings.offer_first("anna", ["study-1"], HOUR)
    store.readings.skip("study-1", "anna", "no")
    before = datetime.now(UTC)
    drawn = {store.readings.offer("ben", HOUR, "random", another=True).lease.study for _ in range(12)}
    assert drawn - {"study-1"}
    assert store.readings.random_studies() == drawn - {"study-1"}
    assert store.readings.random_studies(before) == set()
    assert store.readings.random_studies(before + timedelta(hours=1)) == drawn - {"study-1"}


def test_the_history_does_not_show_to_others_why_a_study_was_offered(store):
    register(store, 1)
    store.readings.offer_first("anna", ["study-1"], HOUR, reasons={"study-1": "Rare and uncertain: Subdural hematoma 31 %."})
    assert store.readings.history("study-1") == []


def test_out_of_reach_is_what_one_read_or_skipped_and_what_anybody_has_open(store):
    register(store, 6)
    store.readings.require(None, 2, "dan")
    store.submissions.add(reading("study-1", "anna"))
    store.readings.skip("study-2", "anna", "no")
    store.readings.lease("study-3", "ben", HOUR)
    store.submissions.add(reading("study-4", "ben"))
    assert store.readings.out_of_reach("anna") == {"study-1", "study-2", "study-3"}
    store.readings.reopen("study-1", "dan", "again")
    store.readings.reopen("study-2", "dan", "again")
    assert store.readings.out_of_reach("anna") == {"study-3"}


def test_an_offer_that_does_not_say_whether_it_was_random_is_found(store, store_url):
    register(store, 1)
    event = "INSERT INTO reading_events (study, reader, kind, reason, value, at) VALUES ('study-1', 'a', 'offered', '', 2, '2026-01-01')"
    sql(store_url, event)
    assert [each.code for each in check_store(store.database).found] == ["damaged_offers"]
