"""Processes that work for the server: they give way to it, end with all that they started, and never outlive it for long."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from headct_molre.server.background import NICENESS, TERMINATED
from headct_molre.server.process import process_name
from headct_molre.server.worker_process import WorkerProcess, end_outlived

LONG = 30.0


@pytest.fixture
def begin(tmp_path):
    """Starts a process that runs this code; afterwards none is left."""
    started = []

    def start(code, *arguments):
        (tmp_path / "some_work.py").write_text(textwrap.dedent(code))
        environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
        worker = WorkerProcess("some_work", list(arguments), log=tmp_path / "log", mark=tmp_path / "mark", environ=environ)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


def until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_it_gives_way_and_is_the_first_to_go_where_memory_runs_out(begin, tmp_path):
    worker = begin("import os, sys; print(os.nice(0), int(open('/proc/self/oom_score_adj').read()), sys.argv[1:], __name__)", "a b", "c")
    assert worker.wait(LONG) == 0
    assert (tmp_path / "log").read_text() == f"{min(19, os.nice(0) + NICENESS)} 1000 ['a b', 'c'] __main__\n"
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(("code", "expected"), [("import sys; sys.exit(2)", 2), ("1 / 0", 1)])
def test_it_ends_with_the_modules_own_code(begin, code, expected):
    assert begin(code).wait(LONG) == expected


HAS_A_CHILD = """
    import pathlib, signal, subprocess, sys, time
    {before}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(sys.argv[1]).write_text(str(child.pid))
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("", -signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))", TERMINATED),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", -signal.SIGKILL),
    ],
    ids=["default", "polite", "stubborn"],
)
def test_the_end_takes_all_that_it_started_along(begin, tmp_path, before, code):
    worker = begin(HAS_A_CHILD.format(before=before), str(tmp_path / "child"))
    until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    child = int((tmp_path / "child").read_text())
    assert worker.memory() > psutil.Process(child).memory_info().rss > 0
    assert worker.end(0.5) == code
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_what_a_former_server_left_is_ended_and_what_has_its_number_now_is_not(begin, tmp_path):
    worker = begin("import time; time.sleep(600)")
    name = (tmp_path / "mark").read_text()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        machine, _, began = name.rsplit("/", 2)
        (tmp_path / "other").write_text(f"{machine}/{other.pid}/{began}-earlier")
        assert not end_outlived(tmp_path / "other")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert name == process_name(worker.number)
    assert end_outlived(tmp_path / "mark")
    assert worker.wait(LONG) == -signal.SIGTERM
    assert not end_outlived(tmp_path / "mark")


def test_a_server_that_is_killed_takes_it_along(tmp_path):
    (tmp_path / "some_work.py").write_text("import time; time.sleep(600)")
    (tmp_path / "server.py").write_text(
        "import sys, time; from pathlib import Path; from headct_molre.server.worker_process import WorkerProcess\n"
        "folder = Path(sys.argv[1]); WorkerProcess('some_work', [], log=folder / 'log', mark=folder / 'mark'); time.sleep(600)"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    server = subprocess.Popen([sys.executable, str(tmp_path / "server.py"), str(tmp_path)], env=environ)
    try:
        until(lambda: (tmp_path / "mark").exists())
        worker = psutil.Process(int((tmp_path / "mark").read_text().rsplit("/", 2)[1]))
        until(lambda: worker.nice() != server_niceness(server))  # it has come as far as that
        time.sleep(0.2)
    finally:
        server.kill()
        server.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def server_niceness(server):
    return psutil.Process(server.pid).nice()
