"""Schemas: a store of any release becomes one of this release, with nothing lost, once, whole or not at all."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, Table, create_engine, inspect

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.data.store.migrate import current_revision
from headct_molre.data.store.tables import METADATA
from headct_molre.data.store.url import parsed_url
from headct_molre.errors import HeadCTError
from store_contents import HYDROCEPHALUS, MIDLINE_SHIFT, assert_consistent, prediction, sql, submission

# What the release before migrations made of an empty database.
FIRST_TABLES = """
CREATE TABLE studies (study VARCHAR(128) NOT NULL PRIMARY KEY, added_at {time} NOT NULL, content_sha256 VARCHAR(64), info JSON NOT NULL);
CREATE TABLE submissions (sequence {serial}, submission_id VARCHAR(36) NOT NULL, study VARCHAR(128) NOT NULL,
    reader VARCHAR(128) NOT NULL, received_at {time} NOT NULL, document TEXT NOT NULL, shown_probabilities JSON,
    UNIQUE (submission_id));
CREATE INDEX ix_submissions_study ON submissions (study);
CREATE TABLE predictions (content_sha256 VARCHAR(64) NOT NULL, model VARCHAR(64) NOT NULL, version VARCHAR(64) NOT NULL,
    weights_sha256 VARCHAR(64) NOT NULL, preparation VARCHAR(16) NOT NULL, created_at {time} NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (content_sha256, model, version, weights_sha256, preparation))
"""
FIRST_TRIGGERS = """
CREATE TRIGGER submissions_no_{lower} BEFORE {upper} ON submissions BEGIN SELECT RAISE(ABORT, 'submissions are append-only'); END
"""
AT = "2026-03-04 05:06:07.000008"
SENT = [
    submission("anna", "study-1", **{HYDROCEPHALUS: "present", MIDLINE_SHIFT: "absent"}),
    submission("ben", "study-1"),
    submission("anna", "study-1", **{HYDROCEPHALUS: "absent"}),
    submission("anna", "study-2"),
]
CONTENTS = [f"{number:064x}" for number in range(40)]


@pytest.fixture
def first_store(store_url):
    """The URL of a store of the first release: two studies that were read, one that was not, 40 predictions, one of them unreadable."""
    sqlite = store_url.startswith("sqlite")
    words = (
        {"time": "DATETIME", "serial": "INTEGER NOT NULL PRIMARY KEY"} if sqlite else {"time": "TIMESTAMP", "serial": "SERIAL PRIMARY KEY"}
    )
    for statement in FIRST_TABLES.format(**words).split(";"):
        sql(store_url, statement)
    for action in ("UPDATE", "DELETE") if sqlite else ():
        sql(store_url, FIRST_TRIGGERS.format(lower=action.lower(), upper=action))
    for study, content in (("study-1", CONTENTS[0]), ("study-2", None), ("study-3", None)):
        notes = json.dumps({"note": f"über {study}"})
        sql(store_url, "INSERT INTO studies VALUES (:study, :at, :content, :notes)", study=study, at=AT, content=content, notes=notes)
    for sent in SENT:
        row = {"id": str(sent.submission_id), "study": sent.study, "reader": sent.reader, "at": AT}
        row |= {"document": sent.model_dump_json(by_alias=True), "shown": json.dumps({HYDROCEPHALUS: 0.25})}
        into = "INSERT INTO submissions (submission_id, study, reader, received_at, document, shown_probabilities)"
        sql(store_url, f"{into} VALUES (:id, :study, :reader, :at, :document, :shown)", **row)
    for content in CONTENTS:
        document = "{}" if content == CONTENTS[-1] else prediction().to_json()
        row = {"content": content, "weights": "0" * 64, "at": AT, "document": document}
        sql(store_url, "INSERT INTO predictions VALUES (:content, 'demo', '1', :weights, '1', :at, :document)", **row)
    return store_url


def dump(url):
    """{table: (columns, rows)} of everything in a database."""
    engine = create_engine(parsed_url(url))
    tables = {}
    with engine.connect() as connection:
        for name in inspect(connection).get_table_names():
            table = Table(name, MetaData(), autoload_with=connection)
            rows = sorted(repr(tuple(row)) for row in connection.execute(table.select()))
            tables[name] = ([str(column.type) for column in table.columns], list(table.columns.keys()), rows)
    engine.dispose()
    return tables


def assert_upgraded(store, url):
    """Nothing of `first_store` is lost and the counters are right."""
    assert [record.submission for record in store.submissions.of("study-1")] == SENT[:3]
    assert [record.submission for record in store.submissions.of("study-2")] == SENT[3:]
    first = store.submissions.of("study-1")[0]
    assert first.shown_probabilities == {HYDROCEPHALUS: 0.25}
    assert first.received_at.isoformat() == "2026-03-04T05:06:07.000008+00:00"
    assert store.submissions.label("study-1") == {HYDROCEPHALUS: "uncertain"}
    assert store.submissions.counts() == {"study-1": 3, "study-2": 1}
    rows = sql(url, "SELECT study, submissions, readings, is_open, present FROM studies ORDER BY study")
    assert [tuple(map(int, row[1:])) for row in rows] == [(3, 2, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0)]
    assert store.studies.info("study-2") == {"note": "über study-2"}
    assert sql(url, "SELECT count(*) FROM summaries") == [(39,)]
    assert sql(url, "SELECT count(*) FROM predictions") == [(40,)]
    shown = store.submissions.add(submission("carl", "study-1", shown="demo"))
    assert shown.shown_probabilities[HYDROCEPHALUS] == 0.25
    assert sql(url, "SELECT max(sequence), count(*) FROM submissions") == [(5, 5)]
    assert_consistent(url)


def test_the_tables_are_what_the_migrations_leave(store):
    with store.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_tables_of_an_upgraded_store_are_those_of_a_new_one(first_store):
    store = StudyStore(first_store)
    with store.database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
    store.close()


def test_a_store_of_the_first_release_is_upgraded_with_nothing_lost(first_store):
    store = StudyStore(first_store)
    assert_upgraded(store, first_store)
    shuffles = [row[0] for row in sql(first_store, "SELECT shuffle FROM studies")]
    assert len(set(shuffles)) == 3
    assert all(0 <= shuffle <= 1 for shuffle in shuffles)
    store.close()


def test_submissions_on_a_study_that_has_no_row_are_counted_too(first_store):
    sql(first_store, "DELETE FROM studies WHERE study = 'study-2'")
    store = StudyStore(first_store)
    assert store.submissions.counts() == {"study-1": 3, "study-2": 1}
    assert_consistent(first_store)
    store.close()


def test_opening_again_changes_nothing(first_store):
    StudyStore(first_store).close()
    upgraded = dump(first_store)
    StudyStore(first_store).close()
    assert dump(first_store) == upgraded


def test_a_store_of_a_newer_release_is_refused_and_left_alone(store, store_url):
    store.submissions.add(submission())
    sql(store_url, "CREATE TABLE novelties (novelty INTEGER)")
    sql(store_url, "UPDATE alembic_version SET version_num = '9999'")
    before = dump(store_url)
    with pytest.raises(HeadCTError, match="newer release") as refused:
        StudyStore(store_url)
    assert (refused.value.code, refused.value.status) == ("store_newer", 409)
    assert dump(store_url) == before


_OPENER = """
import sys
from headct_molre.data.store import StudyStore
print("ready", flush=True)
sys.stdin.readline()
store = StudyStore(sys.argv[1])
print(sorted(store.submissions.counts().items()), flush=True)
"""


def test_servers_that_open_an_old_store_at_once_upgrade_it_once(first_store):
    command = [sys.executable, "-c", _OPENER, first_store]
    openers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for opener in openers:
        assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.stdin.write("\n")
        opener.stdin.flush()
    answers = [opener.communicate(timeout=60)[0] for opener in openers]
    assert answers == ["[('study-1', 3), ('study-2', 1)]\n"] * 2
    store = StudyStore(first_store)
    assert_upgraded(store, first_store)
    store.close()


_KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from headct_molre.data.store import StudyStore

@event.listens_for(Engine, "after_cursor_execute")
def _kill(connection, cursor, statement, *_):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

StudyStore(sys.argv[1])
"""


@pytest.mark.parametrize("moment", ["UPDATE studies SET is_open", "UPDATE alembic_version"])
def test_a_process_killed_in_the_middle_of_an_upgrade_leaves_the_old_store(first_store, moment):
    before = dump(first_store)
    killed = subprocess.run([sys.executable, "-c", _KILLED, first_store, moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert dump(first_store) == before
    store = StudyStore(first_store)
    assert_upgraded(store, first_store)
    store.close()


def test_a_process_killed_while_it_makes_a_new_store_leaves_an_empty_one(store_url):
    killed = subprocess.run([sys.executable, "-c", _KILLED, store_url, "CREATE TABLE tokens"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert dump(store_url) == {}
    store = StudyStore(store_url)
    assert current_revision(store.database) == "0002"
    store.submissions.add(submission())
    store.close()


def test_a_file_that_another_process_writes_is_waited_for(tmp_path):
    """SQLite's own patience ends where a file is changed to WAL, as one is that was copied or made by another program."""
    file = tmp_path / "store.sqlite"
    holder = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE other (a)")
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, holder.close)
    timer.start()
    store = StudyStore(sqlite_url(file))
    assert store.studies.totals()["total"] == 0
    store.close()
    timer.join()
