"""Readers who ask at the same moment, from threads and from processes, in both databases."""

import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from headct_molre.data.store.tables import STUDIES
from reading_room import reading, register

HOUR = 3600.0


def at_once(work, count):
    """Runs work(0) ... work(count - 1) in threads that start together."""
    start = threading.Barrier(count)

    def run(number):
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("order", ["random", "id"])
def test_eight_readers_at_once_never_get_the_same_study(store, order):
    register(store, 30)

    def read(number):
        return [store.readings.offer(f"reader-{number}-{turn}", HOUR, order) for turn in range(5)]

    offers = [offer for of_one in at_once(read, 8) for offer in of_one if offer is not None]
    assert len(offers) == 30
    assert set(Counter(offer.lease.study for offer in offers).values()) == {1}


def test_of_a_list_eight_readers_at_once_never_get_the_same_study(store):
    names = register(store, 12)
    offers = at_once(lambda number: store.readings.offer_first(f"reader-{number}", names, HOUR), 8)
    assert sorted(offer.lease.study for offer in offers) == sorted(names[:8])


def test_two_readers_at_once_share_a_study_that_needs_two(store):
    register(store, 4)
    store.readings.require(None, 2, "cleo")
    offers = [offer for offer in at_once(lambda number: store.readings.offer(f"reader-{number}", HOUR), 10) if offer]
    assert Counter(Counter(offer.lease.study for offer in offers).values()) == {2: 4}


def test_what_is_opened_by_hand_is_not_offered_at_the_same_moment(store):
    names = register(store, 8)

    def work(number):
        if number % 2:
            store.readings.lease(names[number], "anna", HOUR)
            return None
        return store.readings.offer(f"reader-{number}", HOUR, "id")

    at_once(work, 8)
    held = {lease.lease.study: lease.others for lease in (store.readings.lease(name, "watcher", HOUR) for name in names)}
    # Whoever came first has it alone, or the one who opened by hand was told of the other.
    assert all(len(others) <= 1 or "anna" in {lease.reader for lease in others} for others in held.values())


def test_readings_that_arrive_while_others_ask_are_counted_and_finished_studies_stay_away(store):
    register(store, 20)
    read = []

    def work(number):
        while (offer := store.readings.offer(f"reader-{number}", HOUR)) is not None:
            store.submissions.add(reading(offer.lease.study, f"reader-{number}"))
            read.append(offer.lease.study)

    at_once(work, 6)
    assert Counter(Counter(read).values()) == {1: 20}
    assert store.studies.totals() == {"total": 20, "read": 20, "open": 0}


def test_a_study_that_is_being_finished_is_not_offered(store):
    register(store, 1)
    with ThreadPoolExecutor(1) as pool:
        with store.database.writing() as connection:
            connection.execute(update(STUDIES).values(readings=1, is_open=False))
            asked = pool.submit(store.readings.offer, "anna", HOUR)
            time.sleep(0.3)
            assert not asked.done()
        assert asked.result() is None


def test_everything_at_once_ends_without_a_deadlock(store):
    names = register(store, 6)

    def work(number):
        reader = f"reader-{number}"
        for turn in range(6):
            name = names[(number + turn) % 6]
            store.readings.offer(reader, 0.001 if turn % 2 else HOUR, another=bool(turn % 3))
            store.readings.lease(name, reader, 0.001)
            store.readings.skip(name, reader, "no")
            store.submissions.add(reading(name, reader))
            store.readings.reopen(name, reader, "again")
            store.readings.require([name, *names[:2]] if turn % 2 else None, 1 + turn % 3, reader)
            store.readings.release(name, reader)

    at_once(work, 6)
    for name in names:
        state = store.readings.state(name)
        assert state.is_open == (state.readings < state.readers_required)


_READER = """
import sys
from headct_molre.data.store import StudyStore
store = StudyStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(15):
    print(store.readings.offer(f"{sys.argv[2]}-{turn}", 3600.0).lease.study, flush=True)
"""


def test_two_processes_never_offer_the_same_study(store, store_url):
    register(store, 30)
    command = [sys.executable, "-c", _READER, store_url]
    processes = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in ("anna", "ben")]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    studies = [line for process in processes for line in process.communicate(timeout=120)[0].split()]
    assert len(studies) == len(set(studies)) == 30
