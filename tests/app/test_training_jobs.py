"""Training jobs: progress, cancellation, limits, restarts and promotion, with a stand-in for the process that trains."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from headct_molre.data.store import JobConflict
from headct_molre.errors import HeadCTError, NotFound
from headct_molre.models.versions import served_version, version_history
from headct_molre.server.process import process_name
from headct_molre.training.finetune import FineTuneConfig
from learning_room import FEW, MODEL, LearningRoom, until

TESTS = Path(__file__).parents[1]
UNKNOWN = "0" * 8 + "-0000-0000-0000-" + "0" * 12


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def make(tmp_path):
    """Makes rooms over one studies folder, as servers that follow each other have them."""
    rooms = []

    def new(**settings):
        rooms.append(LearningRoom(tmp_path / "studies", **settings))
        return rooms[-1]

    yield new
    for room in rooms:
        room.close()


@pytest.fixture
def room(make):
    room = make()
    room.read()
    room.training.begin()
    return room


def train(room, behaviour="", config=FEW, **more):
    room.behave(behaviour)
    return room.training.create(MODEL, config, "anna", **more).job_id


def working(room, job_id):
    """The number of the job's process, once it has come to its second epoch."""
    until(lambda: room.store.jobs.get(job_id).progress.get("epoch") == 2)
    return int(room.training.folder(job_id).mark.read_text().rsplit("/", 2)[1])


def is_gone(number):
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def test_a_job_goes_its_way_and_its_version_waits_for_a_person(room):
    job = room.until(train(room), "succeeded")
    assert job.progress["percentage"] == 100
    assert job.progress["epoch"] == 4
    assert job.progress["metrics"] == {"loss": 0.25}
    assert job.result["version"] == "2.0-c3-stand-in"
    assert job.result["promoted"] is False
    assert "a person with the trainer role decides" in job.result["next"]
    assert served_version(MODEL) == "2.0"
    folder = room.training.folder(job.job_id)
    assert folder.log_after(0) == ("a line of the log, with an umlaut: ü\n", 38)
    assert folder.last_lines() == ["a line of the log, with an umlaut: ü"]
    assert not (folder.path / "checkpoint.safetensors").exists()
    # The task holds the store's URL, and that may hold a password.
    assert stat.S_IMODE((folder.path / "task.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_character_of_the_log_that_is_cut_in_two_comes_whole(room):
    folder = room.training.folder("some-job")
    folder.path.mkdir(parents=True)
    folder.log.write_bytes("ü".encode()[:1])
    assert folder.log_after(0) == ("", 0)
    folder.log.write_bytes("ü".encode())
    assert folder.log_after(0) == ("ü", 2)
    assert folder.log_after(2) == ("", 2)
    with pytest.raises(HeadCTError) as refused:
        folder.log_after(3)
    assert refused.value.field == "after"


@pytest.mark.parametrize(("outcome", "served"), [("", "2.0-c3-stand-in"), ("hold", "2.0"), ("reject", "2.0")])
def test_where_the_operator_left_it_to_the_gate_it_promotes_and_nothing_else_does(make, outcome, served):
    room = make(promotion="automatic")
    room.read()
    room.training.begin()
    job = room.until(train(room, outcome), "succeeded")
    assert job.result["promoted"] is (outcome == "")
    assert served_version(MODEL) == served
    events = version_history(MODEL)
    assert [(event.who, event.gate) for event in events] == ([("gate", "promote")] if outcome == "" else [])
    assert all(job.job_id in event.reason for event in events)


def test_too_few_corrections_are_refused_with_the_counts_and_no_job(room):
    with pytest.raises(HeadCTError) as refused:
        room.training.create(MODEL, FineTuneConfig(), "anna")
    assert (refused.value.code, refused.value.status) == ("too_few_corrections", 409)
    assert "3" in refused.value.message
    assert "20" in refused.value.message
    with pytest.raises(NotFound):
        room.training.create("unknown", FEW, "anna")
    assert room.store.jobs.list() == []


def test_one_runs_at_a_time_and_others_wait_only_where_they_are_told_to(room):
    first = train(room, "hangs")
    number = working(room, first)
    with pytest.raises(JobConflict) as refused:
        train(room, "hangs")
    assert (refused.value.code, refused.value.status) == ("busy", 429)
    second, third = train(room, enqueue=True), train(room, enqueue=True)
    room.training.cancel(second)
    assert room.store.jobs.get(third).state == "queued"
    room.training.cancel(first)
    room.until(third, "succeeded")
    assert is_gone(number)
    assert (room.starts(first), room.starts(second), room.starts(third)) == (1, 0, 1)


@pytest.mark.parametrize("behaviour", ["hangs", "stubborn"])
def test_a_cancelled_job_ends_its_process_and_leaves_no_version(room, behaviour, monkeypatch):
    monkeypatch.setattr("lib.learning.training_jobs.TERM_S", 0.5)
    job_id = train(room, behaviour)
    number = working(room, job_id)
    ended = room.training.ended(job_id)
    assert room.training.cancel(job_id).state == "cancelled"
    ended.result(30)
    assert is_gone(number)
    assert room.store.jobs.get(job_id).state == "cancelled"
    assert not list((room.studies.parent / "home").rglob("model.json"))


@pytest.mark.parametrize(
    ("behaviour", "code", "says"),
    [("refuses", "one_class_only", "one class"), ("crashes", "training_failed", "exit code 1"), ("eats memory", "out_of_memory", "100 MB")],
)
def test_a_job_that_fails_says_why(make, behaviour, code, says):
    room = make(train_memory_mb=100)
    room.read()
    room.training.begin()
    job = room.until(train(room, behaviour), "failed")
    assert job.error["code"] == code
    assert says in job.error["message"]
    assert ("nobody thought of this" in room.training.folder(job.job_id).log_after(0)[0]) == (behaviour == "crashes")
    # And the next one finds everything in order.
    room.until(train(room), "succeeded")


def test_a_process_that_somebody_kills_interrupts_the_job_which_goes_on_where_it_was(room):
    job_id = train(room, "hangs")
    os.kill(working(room, job_id), signal.SIGKILL)
    room.until(job_id, "interrupted")
    room.behave("")
    assert room.training.resume(job_id).state == "queued"
    job = room.until(job_id, "succeeded")
    assert room.starts(job_id) == 2
    assert "seconds" in job.result
    with pytest.raises(JobConflict):
        room.training.resume(job_id)
    with pytest.raises(NotFound):
        room.training.resume(UNKNOWN)


def test_a_stopping_server_interrupts_its_job_and_the_next_one_waits_for_a_person_but_begins_what_had_not_begun(make):
    first = make()
    first.read()
    first.training.begin()
    job_id = train(first, "hangs")
    number = working(first, job_id)
    waiting = train(first, "hangs", enqueue=True)
    first.close()
    assert is_gone(number)
    second = make()
    second.behave("")
    assert second.store.jobs.get(job_id).state == "interrupted"
    # The process of the first room is this one, which goes on; a server's would have ended.
    second.store.jobs.interrupt(waiting)
    second.training.begin()
    second.until(waiting, "succeeded")
    assert second.store.jobs.get(job_id).state == "interrupted"
    second.training.resume(job_id)
    second.until(job_id, "succeeded")
    assert (second.starts(job_id), second.starts(waiting)) == (2, 1)


def test_a_killed_server_takes_its_process_along_and_the_next_one_can_go_on(make, tmp_path):
    make().read()
    app = TESTS.parent / "apps" / "headct_molre"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(app / "bootstrap"), str(app), os.environ["PYTHONPATH"]])}
    command = [sys.executable, str(TESTS / "learning_room.py"), str(tmp_path / "studies")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, text=True) as server:
        job_id = server.stdout.readline().strip()
        room = make()
        number = working(room, job_id)
        server.kill()
    until(lambda: is_gone(number))
    room.behave("")
    room.training.begin()
    room.until(job_id, "interrupted")
    room.training.resume(job_id)
    room.until(job_id, "succeeded")
    assert room.starts(job_id) == 2


def test_a_process_that_outlived_its_server_is_ended_before_anything_runs(make, monkeypatch):
    monkeypatch.setattr("lib.learning.training_jobs.TERM_S", 0.5)
    room = make()
    room.read()
    room.behave("stubborn")
    job = room.store.jobs.create("train", {"minimum_corrections": 1}, model=MODEL)
    folder = room.training.folder(job.job_id)
    folder.write_task(room.training._task(job, 3))
    room.store.jobs.start(job.job_id, "another-machine/1/-")
    left = subprocess.Popen([sys.executable, "-m", "stand_in_trainer", str(folder.path)], start_new_session=True)
    folder.mark.write_text(process_name(left.pid))
    room.store.jobs.interrupt(job.job_id)
    try:
        until(lambda: room.starts(job.job_id) == 1)
        room.behave("")
        room.training.resume(job.job_id)
        room.training.begin()
        room.until(job.job_id, "succeeded")
    finally:
        left.kill()
    assert left.wait() == -signal.SIGKILL  # it would not stop when it was told to
    assert room.starts(job.job_id) == 2


def test_what_ended_while_no_server_looked_is_closed_without_running_again(make):
    room = make(promotion="automatic")
    room.read()
    job = room.store.jobs.create("train", {"minimum_corrections": 1}, model=MODEL)
    folder = room.training.folder(job.job_id)
    folder.write_task(room.training._task(job, 3))
    room.store.jobs.start(job.job_id, "another-machine/1/-")
    room.behave("")
    subprocess.run([sys.executable, "-m", "stand_in_trainer", str(folder.path)], check=True)
    room.store.jobs.interrupt(job.job_id)
    room.training.begin()
    assert room.until(job.job_id, "succeeded").result["promoted"] is True
    assert room.starts(job.job_id) == 1
