"""Many submissions at once leave the store as the same submissions one by one do."""

import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select, update

from headct_molre.data.store import StudyStore
from headct_molre.data.store.tables import LEASES, STUDIES
from headct_molre.errors import InvalidRequest
from stored import NOW, submission

COUNTERS = (STUDIES.c.study, STUDIES.c.submissions, STUDIES.c.readings, STUDIES.c.is_open, STUDIES.c.readers_required)


@pytest.fixture
def store(store_url):
    store = StudyStore(store_url, readers_per_study=2)
    yield store
    store.close()


def counters(store):
    with store.database.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*COUNTERS).order_by(STUDIES.c.study))]


def arrivals(count, studies, seed=0):
    rng = random.Random(seed)
    return [
        (submission(f"s{rng.randrange(studies)}", rng.choice(("anna", "ben", "eve")), number=seed * 10**6 + i), None) for i in range(count)
    ]


def test_counters_are_those_of_single_submissions(store, tmp_path):
    single = StudyStore(f"sqlite:///{tmp_path / 'single.sqlite'}", readers_per_study=2)
    many = arrivals(1200, 40)
    for each, _ in many:
        single.submissions.add(each)
    assert store.submissions.add_many(many) == 1200
    assert counters(store) == counters(single)
    assert [r.submission for r in store.submissions.of("s1")] == [r.submission for r in single.submissions.of("s1")]
    single.close()


def test_a_second_call_stores_nothing_and_an_interrupted_one_the_rest(store):
    many = arrivals(700, 20)
    store.submissions.add_many(many[:100])
    before = counters(store)
    assert store.submissions.add_many(many[:100]) == 0
    assert counters(store) == before
    assert store.submissions.add_many([*many, *many[:3]]) == 600


def test_readings_count_from_when_a_study_was_reopened(store):
    store.submissions.add_many(arrivals(50, 1))
    with store.database.writing() as connection:
        connection.execute(update(STUDIES).values(reopened_after=50, readings=0, is_open=True))
    store.submissions.add_many([(submission("s0", "anna"), None)])
    assert counters(store) == [("s0", 51, 1, True, 2)]
    store.submissions.add_many([(submission("s0", "anna"), None), (submission("s0", "ben"), None)])
    assert counters(store) == [("s0", 53, 2, False, 2)]


def test_what_was_shown_is_kept_and_leases_of_the_readers_end(store):
    with store.database.writing() as connection:
        lease = {"study": "s0", "taken_at": NOW, "expires_at": NOW}
        connection.execute(insert(LEASES), [{**lease, "reader": "anna"}, {**lease, "reader": "ben"}])
    store.submissions.add_many([(submission("s0", "anna"), {"hydrocephalus": 0.25})])
    assert store.submissions.of("s0")[0].shown_probabilities == {"hydrocephalus": 0.25}
    with store.database.reading() as connection:
        assert connection.execute(select(LEASES.c.reader)).scalars().all() == ["ben"]


def test_an_id_with_other_content_is_refused_and_the_transaction_undone(store):
    known = submission("s0")
    store.submissions.add(known)
    with pytest.raises(InvalidRequest) as refused:
        store.submissions.add_many([(submission("s1"), None), (known.model_copy(update={"reader": "ben"}), None)])
    assert refused.value.code == "submission_conflict"
    assert counters(store) == [("s0", 1, 1, True, 2)]


def test_imports_and_readers_at_once_lose_nothing(store):
    """The same 600 submissions from three sides, and readers who submit to the same studies meanwhile."""
    many = arrivals(600, 10)

    def read(reader):
        for i in range(30):
            store.submissions.add(submission(f"s{i % 10}", reader, number=uuid.uuid4().int))

    with ThreadPoolExecutor(5) as pool:
        imports = [pool.submit(store.submissions.add_many, part) for part in (many, list(reversed(many)), many[300:])]
        readers = [pool.submit(read, reader) for reader in ("x", "y")]
        assert sum(each.result() for each in imports) == 600
        for each in readers:
            each.result()
    assert sum(row[1] for row in counters(store)) == 660
    assert [row[2] for row in counters(store)] == [5] * 10
