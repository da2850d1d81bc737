"""The registry of studies: what is there, what went away, notes that are merged, many processes at once."""

from concurrent.futures import ThreadPoolExecutor

from headct_molre.data.store import StudyImages, StudyStore
from store_contents import assert_consistent, submission


def test_notes_on_a_study_are_merged(store):
    assert store.studies.info("study-1") == {}
    store.studies.update_info("study-1", {"a": 1, "b": 1})
    store.studies.update_info("study-1", {"b": 2})
    assert store.studies.info("study-1") == {"a": 1, "b": 2}


def test_simultaneous_notes_are_all_kept(store, store_url):
    """Half of the threads write through a second store, as a second process does."""
    second = StudyStore(store_url)

    def note(thread):
        for number in range(10):
            (store, second)[thread % 2].studies.update_info("study-1", {f"{thread}-{number}": number})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(note, range(6)))
    second.close()
    info = store.studies.info("study-1")
    assert info == {f"{thread}-{number}": number for thread in range(6) for number in range(10)}


def images(*numbers, folder="a"):
    return [StudyImages(f"study-{number:05d}", f"{folder}/{number}.nii.gz", "nifti") for number in numbers]


def test_studies_are_registered_with_their_images(store):
    assert store.studies.register(images(2, 1)) == 2
    assert store.studies.registered() == images(1, 2)
    assert store.studies.images("study-00001") == images(1)[0]
    assert store.studies.images("study-00009") is None
    assert store.studies.ids() == ["study-00001", "study-00002"]


def test_registering_again_writes_nothing_but_what_changed(store, store_url):
    store.studies.register(images(*range(1, 2501)))
    store.submissions.add(submission(study="study-00001"))
    assert store.studies.register(images(*range(1, 2501))) == 0
    assert store.studies.register([*images(1, folder="b"), *images(2, 3000)]) == 1
    assert store.studies.images("study-00001") == images(1, folder="b")[0]
    assert store.studies.totals() == {"total": 2501, "read": 1, "open": 2500}
    assert_consistent(store_url)


def test_a_study_that_is_found_twice_lies_where_it_was_found_last(store):
    assert store.studies.register([*images(1), *images(1, folder="b")]) == 1
    assert store.studies.registered() == images(1, folder="b")


def test_a_study_whose_images_went_keeps_its_readings_and_may_come_back(store):
    store.studies.register(images(1, 2))
    store.submissions.add(submission(study="study-00001"))
    store.studies.mark_absent(["study-00001", "unknown"])
    assert store.studies.ids() == ["study-00002"]
    assert store.studies.totals() == {"total": 1, "read": 0, "open": 1}
    assert store.studies.register(images(1)) == 1
    assert store.studies.ids(read=True) == ["study-00001"]
    assert store.studies.ids(read=False) == ["study-00002"]


def test_a_study_that_was_read_before_its_images_were_found_is_registered_with_its_readings(store):
    store.submissions.add(submission(study="study-00001"))
    assert store.studies.totals()["total"] == 0
    assert store.studies.register(images(1)) == 1
    assert store.studies.totals() == {"total": 1, "read": 1, "open": 0}


def test_two_servers_register_the_same_studies_while_readers_submit(store, store_url):
    """In opposite order, so that they would wait for each other's rows."""
    second = StudyStore(store_url)
    found = images(*range(3000))

    def work(task):
        if task == 0:
            return store.studies.register(found)
        if task == 1:
            return second.studies.register(reversed(found))
        if task == 2:
            second.studies.mark_absent([f"other-{number}" for number in range(2000)])
            return 0
        for number in range(0, 3000, 100):
            store.submissions.add(submission(f"reader-{task}", f"study-{number:05d}"))
        return 0

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 3000
    second.close()
    assert store.studies.registered() == found
    assert store.studies.totals() == {"total": 3000, "read": 30, "open": 2970}
    assert_consistent(store_url)
