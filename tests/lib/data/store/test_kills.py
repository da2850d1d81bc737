"""kill -9 at random moments under eight writers: nothing acknowledged is lost, nothing is stored twice, no restart needs help."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest

import store_writers
from headct_molre.data.store import StudyStore, sqlite_url
from postgres_server import PostgresServer, why_not
from store_contents import assert_consistent, sql

STUDY = pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
FIRST_LINE_LIMIT_S = 120  # it takes 0.1 s; a test machine is shared


@pytest.fixture
def writers():
    """The program that forks writers."""
    command = [sys.executable, store_writers.__file__]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield program
    program.stdin.close()
    program.wait(timeout=30)


@pytest.fixture
def server():
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


def write_until_killed(writers, url, log, moment, meanwhile):
    """{what: [ids or codes]} that eight writers said before they were killed; `meanwhile` is called just before.

    In one of four rounds the kill may meet them while they open the store, else they have acknowledged something.
    """
    writers.stdin.write(json.dumps({"url": url, "log": str(log)}) + "\n")
    writers.stdin.flush()
    group = int(writers.stdout.readline())
    patient = moment.random() < 0.75
    try:
        deadline = time.monotonic() + FIRST_LINE_LIMIT_S
        while patient and not _said(log)["acknowledged"] and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(moment.uniform(0, 0.3))
        meanwhile()
    finally:
        os.killpg(group, signal.SIGKILL)
    while _alive(group):
        time.sleep(0.001)
    return _said(log)


def _said(log):
    said = defaultdict(list)
    for line in log.read_text().splitlines() if log.exists() else []:
        what, _, value = line.partition(" ")
        said[what].append(value)
    return said


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def assert_nothing_lost(url, tried, acknowledged):
    """Every acknowledged submission is there, each once, and nothing that nobody sent."""
    stored = Counter(row[0] for row in sql(url, "SELECT submission_id FROM submissions"))
    assert set(stored.values()) <= {1}
    assert acknowledged <= set(stored) <= tried
    assert_consistent(url)


def kill_again_and_again(url, rounds, writers, folder, before_kill=lambda number: None, after_kill=lambda number: None):
    """Returns how many submissions were acknowledged, and how many a kill interrupted."""
    moment = random.Random(20260300675)
    tried, acknowledged, interrupted = set(), set(), 0
    unavailable = Counter()
    for number in range(rounds):
        said = write_until_killed(writers, url, folder / f"round-{number}", moment, lambda number=number: before_kill(number))
        after_kill(number)
        assert said["error"] == []
        unavailable.update(said["unavailable"])
        tried.update(said["tried"])
        acknowledged.update(said["acknowledged"])
        store = StudyStore(url)
        assert_nothing_lost(url, tried, acknowledged)
        for submission_id in set(said["tried"]) - set(said["acknowledged"]):
            sent = store_writers.sent_under(submission_id)
            assert store.submissions.add(sent).submission == sent
            acknowledged.add(submission_id)
            interrupted += 1
        store.close()
        assert_nothing_lost(url, tried, acknowledged)
    print(f"{rounds} kills: {len(acknowledged)} acknowledged, {interrupted} interrupted, unavailable {dict(unavailable)}")
    return len(acknowledged), interrupted, unavailable


@pytest.mark.parametrize("rounds", [10, STUDY])
def test_killed_writers_of_sqlite(tmp_path, writers, rounds):
    acknowledged, interrupted, unavailable = kill_again_and_again(sqlite_url(tmp_path / "store.sqlite"), rounds, writers, tmp_path)
    assert acknowledged > 5 * rounds
    assert interrupted > rounds
    assert unavailable == {}


@pytest.mark.parametrize("rounds", [5, STUDY])
def test_killed_writers_of_postgresql_and_a_killed_server(server, tmp_path, writers, rounds):
    """In every third round the database server is killed too, before its writers are."""

    def before_kill(number):
        if number % 3 == 1:
            server.crash()

    def after_kill(number):
        if server.process is None:
            server.start()

    url = server.url(server.create_database())
    acknowledged, interrupted, unavailable = kill_again_and_again(url, rounds, writers, tmp_path, before_kill, after_kill)
    assert acknowledged > 5 * rounds
    assert interrupted > rounds
    assert set(unavailable) <= {"store_unreachable"}
