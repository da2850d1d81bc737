"""An SQLite store whose disk fills up, becomes read-only, goes away, or whose file is locked, removed or replaced.

Each fault has its code, nothing is half stored, and the same store works again once the fault is gone.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from sqlalchemy import event

from headct_molre.data.store import StudyImages, StudyStore, sqlite_url
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.data.store.probe import check_store
from headct_molre.errors import HeadCTError
from small_disk import NoDisk, SmallDisk
from store_contents import assert_consistent, prediction, sql, submission


@pytest.fixture
def disk(tmp_path):
    try:
        disk = SmallDisk(tmp_path)
    except NoDisk as reason:
        pytest.skip(str(reason))
    yield disk
    disk.remove()


@pytest.fixture
def url(tmp_path):
    return sqlite_url(tmp_path / "folder" / "store.sqlite")


@pytest.fixture
def opened():
    """Opens stores and closes them after the test."""
    stores = []

    def opening(url, **options):
        stores.append(StudyStore(url, **options))
        return stores[-1]

    yield opening
    for store in stores:
        store.close()


def refused(action, *arguments):
    """The code of the StoreUnavailable that an action ends with."""
    with pytest.raises(StoreUnavailable) as fault:
        action(*arguments)
    assert fault.value.status == 503
    assert fault.value.message.endswith((".", "once."))
    return fault.value.code


def assert_recovered(store, url, kept, lost=()):
    """All that was acknowledged is there, nothing that was refused is, and the store takes submissions again."""
    ids = {sent.submission_id for sent in kept}
    assert {record.submission.submission_id for record in store.submissions.of("study-1")} == ids
    for sent in lost:
        assert store.submissions.get(str(sent.submission_id)) is None
        store.submissions.add(sent)
    again = submission()
    store.submissions.add(again)
    assert store.submissions.counts() == {"study-1": len(ids) + len(lost) + 1}
    assert_consistent(url)


def test_a_disk_that_fills_up_takes_no_submission_until_there_is_room(disk, opened):
    url = sqlite_url(disk.path / "store.sqlite")
    store = opened(url)
    kept, lost = [submission()], submission()
    store.submissions.add(kept[0])
    disk.fill()
    with contextlib.suppress(StoreUnavailable):
        while True:  # the journal has some room of its own
            sent = submission()
            store.submissions.add(sent)
            kept.append(sent)
    assert refused(store.submissions.add, lost) == "store_full"
    assert refused(store.predictions.put, "a" * 64, prediction()) == "store_full"
    assert refused(store.studies.register, [StudyImages(f"s-{n}", "x", "nifti") for n in range(3000)]) == "store_full"
    assert len(store.submissions.of("study-1")) == len(kept)  # it can still be read
    disk.free()
    assert_recovered(store, url, kept, [lost])
    assert store.studies.ids() == []


def test_a_server_does_not_start_on_a_full_disk(disk, opened):
    url = sqlite_url(disk.path / "store.sqlite")
    sent = submission()
    first = opened(url)
    first.submissions.add(sent)
    first.close()
    disk.fill()
    assert refused(opened, url) == "store_full"
    assert refused(opened, sqlite_url(disk.path / "another" / "store.sqlite")) == "store_full"
    disk.free()
    assert_recovered(opened(url), url, [sent])
    opened(sqlite_url(disk.path / "another" / "store.sqlite"))


def test_a_store_that_may_not_grow_is_full(url, opened):
    """The same without a disk of its own, so that it runs everywhere."""
    store, sent = opened(url), submission()
    store.submissions.add(sent)

    @event.listens_for(store.database.engine, "checkout")
    def _limit(connection, *_):
        connection.execute(f"PRAGMA max_page_count = {limit}")

    limit = 1  # SQLite takes the present size as the least

    def put_many():
        for number in range(50):
            store.predictions.put(f"{number:064x}", prediction())

    assert refused(put_many) == "store_full"
    limit = 1_000_000
    assert_recovered(store, url, [sent])


def test_a_disk_that_became_read_only_says_so_and_works_again_when_it_is_back(disk, opened):
    url = sqlite_url(disk.path / "store.sqlite")
    store, sent, lost = opened(url), submission(), submission()
    store.submissions.add(sent)
    disk.fail()
    assert refused(store.submissions.add, lost) == "store_read_only"
    assert refused(store.studies.update_info, "study-1", {"a": 1}) == "store_read_only"
    assert refused(opened, sqlite_url(disk.path / "new" / "store.sqlite")) == "store_read_only"
    disk.pull_out()
    assert refused(store.submissions.add, lost) == "store_missing"
    assert refused(store.submissions.of, "study-1") == "store_missing"
    disk.put_back()
    assert_recovered(store, url, [sent], [lost])


def test_a_server_does_not_start_on_a_read_only_disk(disk, opened):
    url = sqlite_url(disk.path / "store.sqlite")
    sent = submission()
    first = opened(url)
    first.submissions.add(sent)
    first.close()
    disk.protect()
    assert refused(opened, url) == "store_read_only"
    assert refused(opened, sqlite_url(disk.path / "new" / "store.sqlite")) == "store_read_only"
    disk.unprotect()
    assert_recovered(opened(url), url, [sent])


_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def holder(tmp_path):
    """Holds the write lock of a file from another process, until it is called again."""
    processes = []

    def hold(file):
        process = subprocess.Popen([sys.executable, "-c", _HOLDER, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return lambda: process.communicate("\n", timeout=30)

    yield hold
    for process in processes:
        process.kill()
        process.wait()


def test_a_locked_store_refuses_in_time_and_works_again(url, opened, holder):
    store, sent, lost = opened(url, lock_wait_s=0.2), submission(), submission()
    store.submissions.add(sent)
    release = holder(store.database.url.database)
    assert refused(store.submissions.add, lost) == "store_locked"
    assert len(store.submissions.of("study-1")) == 1  # who reads does not wait
    opened(url, lock_wait_s=0.2)  # nor who starts, with nothing to upgrade
    release()
    assert_recovered(store, url, [sent], [lost])


def test_a_new_store_that_another_process_holds_is_not_opened(tmp_path, opened, holder):
    url = sqlite_url(tmp_path / "store.sqlite")
    release = holder(str(tmp_path / "store.sqlite"))
    assert refused(lambda: opened(url, lock_wait_s=0.2)) == "store_locked"
    release()
    assert_recovered(opened(url), url, [])


def test_who_finds_all_connections_in_use_is_told(url, opened):
    store = opened(url, lock_wait_s=0.2)
    pool = store.database.engine.pool
    taken = [pool.connect() for _ in range(pool.size() + pool._max_overflow)]
    assert refused(store.submissions.add, submission()) == "store_busy"
    for connection in taken:
        connection.close()
    assert_recovered(store, url, [])


def test_a_store_whose_file_was_removed_acknowledges_nothing(url, opened):
    """A write to a file without a name would succeed, and be lost."""
    store, sent, lost = opened(url), submission(), submission()
    store.submissions.add(sent)
    folder = os.path.dirname(store.database.url.database)
    os.rename(folder, folder + ".moved")
    assert refused(store.submissions.add, lost) == "store_missing"
    assert refused(store.submissions.counts) == "store_missing"
    assert refused(check_store, store.database.url) == "store_missing"  # and nobody makes an empty one in its place
    assert not os.path.exists(folder)
    os.rename(folder + ".moved", folder)
    assert_recovered(store, url, [sent], [lost])


def test_a_backup_put_in_place_of_the_file_is_used_from_the_next_request_on(url, opened, tmp_path):
    store, sent = opened(url), submission()
    store.submissions.add(sent)
    store.database.engine.dispose()
    backup = shutil.copyfile(store.database.url.database, tmp_path / "backup")
    store.submissions.add(submission())
    os.replace(backup, store.database.url.database)
    for left in ("-wal", "-shm"):
        os.unlink(store.database.url.database + left)
    assert refused(store.submissions.add, submission()) == "store_replaced"
    assert_recovered(store, url, [sent])


@pytest.mark.parametrize("content", [b"no database " * 1000, b""])
def test_a_file_that_is_no_store_is_called_damaged(url, opened, content):
    store = opened(url)
    store.close()
    with open(store.database.url.database, "wb") as file:
        file.write(content)
    assert refused(store.submissions.add, submission()) == "store_damaged"
    if content:
        assert refused(opened, url) == "store_damaged"


def test_a_damaged_page_is_called_damage(url, opened):
    store = opened(url)
    for _ in range(30):
        store.submissions.add(submission())
    store.close()
    with open(store.database.url.database, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(file.name) - 4096))
    assert refused(store.submissions.of, "study-1") == "store_damaged"


def test_a_folder_that_cannot_be_made_is_told(tmp_path, opened):
    (tmp_path / "file").write_text("")
    assert refused(opened, sqlite_url(tmp_path / "file" / "store.sqlite")) == "store_unreachable"
    assert refused(opened, sqlite_url(tmp_path)) == "store_unreachable"


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true", "mysql://host/x", "store"])
def test_a_url_that_keeps_nothing_or_is_none_is_refused(opened, text):
    with pytest.raises(HeadCTError) as fault:
        opened(text)
    assert (fault.value.code, fault.value.field) == ("invalid_store_url", "store")


def test_writes_are_flushed_to_the_disk(url, opened):
    """synchronous 2 is FULL: what was acknowledged survives a power cut."""
    store = opened(url)
    with store.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_backup_tool_that_reads_the_whole_file_stops_no_reader(url, opened, tmp_path):
    store, sent = opened(url), submission()
    store.submissions.add(sent)
    with sqlite3.connect(store.database.url.database) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM submissions").fetchone()
        store.submissions.add(submission())
        assert reader.execute("SELECT count(*) FROM submissions").fetchone() == (1,)
    assert sql(url, "SELECT count(*) FROM submissions") == [(2,)]
