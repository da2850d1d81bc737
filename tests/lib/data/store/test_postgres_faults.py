"""A PostgreSQL store whose server stops, crashes, ends a session, is locked, read-only, full or not there.

Each fault has its code, nothing is half stored, and the same store works again once the fault is gone.
"""

import os
import tempfile
import threading
import time

import psycopg
import pytest
from sqlalchemy import event

from headct_molre.data.store import StudyStore
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import InvalidRequest
from postgres_server import PostgresServer, why_not
from small_disk import NoDisk, SmallDisk
from store_contents import assert_consistent, prediction, sql, submission


@pytest.fixture(scope="module")
def server():
    """A server of our own, since these tests stop it."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def database(server):
    if server.process is None:
        server.start()
    return server.create_database()


@pytest.fixture
def store(server, database):
    store = StudyStore(server.url(database), lock_wait_s=0.5)
    yield store
    store.close()


def refused(action, *arguments):
    """The code of the StoreUnavailable that an action ends with."""
    with pytest.raises(StoreUnavailable) as fault:
        action(*arguments)
    assert fault.value.status == 503
    return fault.value.code


def assert_recovered(store, kept, lost=()):
    """All that was acknowledged is there, nothing that was refused is, and the store takes submissions again."""
    assert [record.submission for record in store.submissions.of("study-1")] == kept
    for sent in lost:
        assert store.submissions.get(str(sent.submission_id)) is None
        store.submissions.add(sent)
    again = submission()
    store.submissions.add(again)
    assert [record.submission for record in store.submissions.of("study-1")] == [*kept, *lost, again]
    assert_consistent(store.database.url)


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_between_two_submissions_the_server_goes_and_comes_back(server, store, how):
    kept, lost = submission(), submission()
    store.submissions.add(kept)
    getattr(server, how)()
    assert refused(store.submissions.add, lost) == "store_unreachable"
    assert refused(store.submissions.of, "study-1") == "store_unreachable"
    server.start()
    assert_recovered(store, [kept], [lost])


def test_a_restart_that_nobody_notices_costs_no_request(server, store):
    kept = [submission(), submission()]
    store.submissions.add(kept[0])
    server.crash()
    server.start()
    store.submissions.add(kept[1])
    assert_recovered(store, kept)


def test_a_session_that_is_ended_between_two_requests_is_replaced(server, store, database):
    kept = [submission(), submission()]
    store.submissions.add(kept[0])
    ended = server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    assert ended
    store.submissions.add(kept[1])
    assert_recovered(store, kept)


@pytest.mark.parametrize("moment", ["INSERT INTO submissions", "UPDATE studies"])
@pytest.mark.parametrize("how", ["terminate", "crash"])
def test_a_session_that_ends_in_the_middle_of_a_submission_stores_nothing_of_it(server, store, database, moment, how):
    kept, lost = submission(), submission()
    store.submissions.add(kept)

    ended = []

    def end(connection, cursor, statement, *_):
        if statement.startswith(moment) and not ended:
            ended.append(statement)
            if how == "crash":
                server.crash()
            else:
                server.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'")

    event.listen(store.database.engine, "after_cursor_execute", end)
    assert refused(store.submissions.add, lost) == "store_unreachable"
    if how == "crash":
        server.start()
    assert_recovered(store, [kept], [lost])


def test_a_commit_whose_answer_is_lost_is_stored_once_when_it_is_sent_again(store):
    """The connection breaks after the commit: the reader is told to send it again."""
    sent, broken = submission(), []

    def commit(connection):
        if not broken:
            broken.append(connection)
            connection.connection.dbapi_connection.commit()
            connection.connection.dbapi_connection.close()

    event.listen(store.database.engine, "commit", commit)
    assert refused(store.submissions.add, sent) == "store_unreachable"
    assert store.submissions.add(sent).submission == sent
    assert_recovered(store, [sent])


def test_a_lock_of_another_session_is_waited_for_and_then_told(server, store, database):
    kept, lost = submission(), submission()
    store.submissions.add(kept)
    with psycopg.connect(host=str(server.folder), user="postgres", dbname=database) as other:
        other.execute("SELECT * FROM studies WHERE study = 'study-1' FOR UPDATE")
        assert refused(store.submissions.add, lost) == "store_locked"
        store.submissions.add(submission(study="study-2"))
        other.rollback()
    assert_recovered(store, [kept], [lost])


def test_two_transactions_that_wait_for_each_other_end_with_one_refusal(store, database, server):
    for study in ("a", "b"):
        store.studies.update_info(study, {})
    waiting = threading.Barrier(2)
    codes = []

    def change(studies):
        try:
            with store.database.writing() as connection:
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                for study in studies:
                    connection.exec_driver_sql(f"UPDATE studies SET path = 'x' WHERE study = '{study}'")
                    if study == studies[0]:
                        waiting.wait(10)
        except StoreUnavailable as fault:
            codes.append(fault.code)

    threads = [threading.Thread(target=change, args=[order]) for order in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert codes == ["store_locked"]


def test_a_database_that_became_read_only_says_so(server, store, database):
    kept, lost = submission(), submission()
    store.submissions.add(kept)
    server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    store.database.engine.dispose()
    assert len(store.submissions.of("study-1")) == 1
    StudyStore(server.url(database)).close()
    assert refused(store.submissions.add, lost) == "store_read_only"
    server.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert_recovered(store, [kept], [lost])


def test_a_tablespace_that_fills_up_takes_nothing_until_there_is_room(server, tmp_path):
    try:
        disk = SmallDisk(tmp_path, megabytes=16)
    except NoDisk as reason:
        pytest.skip(str(reason))
    try:
        above = [folder for folder in tmp_path.parents if folder.is_relative_to(tempfile.gettempdir())]
        for folder in (tmp_path, *above[:-1]):
            os.chmod(folder, 0o755)
        tables = disk.path / "tables"
        tables.mkdir()
        os.chown(tables, *server.owner)
        server.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
        server.execute("CREATE DATABASE small TABLESPACE small")
        store = StudyStore(server.url("small"))
        kept = submission()
        store.submissions.add(kept)
        disk.fill()

        def put_many():
            for number in range(200):
                store.predictions.put(f"{number:064x}", prediction())

        assert refused(put_many) == "store_full"
        assert [record.submission for record in store.submissions.of("study-1")] == [kept]
        disk.free()
        assert_recovered(store, [kept])
        store.close()
        server.drop_database("small")
        server.execute("DROP TABLESPACE small")
    finally:
        disk.remove()


def test_a_server_does_not_start_without_its_database(server, database):
    assert refused(StudyStore, server.url("no_such_database")) == "store_unreachable"
    assert refused(StudyStore, f"postgresql://nobody@/{database}?host={server.folder}") == "store_unreachable"
    assert refused(StudyStore, "postgresql://nobody@127.0.0.1:9/none") == "store_unreachable"
    server.stop()
    assert refused(StudyStore, server.url(database)) == "store_unreachable"


def test_a_database_without_our_tables_is_called_damaged(store, database, server):
    server.execute("ALTER TABLE studies RENAME TO gone", database)
    assert refused(store.studies.info, "study-1") == "store_damaged"


def test_a_user_without_rights_is_told(store, database, server):
    server.execute("CREATE ROLE guest LOGIN")
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest", database)
    guest = StudyStore(server.url(database).replace("postgres@", "guest@"))
    assert refused(guest.submissions.add, submission()) == "store_unreachable"
    guest.close()


def test_what_postgresql_cannot_hold_is_the_requests_fault(store):
    with pytest.raises(InvalidRequest) as refusal:
        store.studies.info("study\x00")
    assert refusal.value.code == "unstorable_value"


def test_commits_are_flushed_whatever_the_database_says(server, database):
    server.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    store = StudyStore(server.url(database))
    with store.database.reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
    store.close()


def test_while_the_server_is_away_every_request_is_answered_soon(server, store):
    server.stop()
    started = time.monotonic()
    assert [refused(store.submissions.add, submission()) for _ in range(20)] == ["store_unreachable"] * 20
    assert time.monotonic() - started < 10
    server.start()
    assert sql(store.database.url, "SELECT count(*) FROM submissions") == [(0,)]
