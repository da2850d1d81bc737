"""A fine-tune may be killed at any moment: nothing half is seen, and started again it gives the very same version."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corrected_studies import shifted_site
from headct_molre.models.aliases import read_aliases
from headct_molre.models.checkpoint import CARD, WEIGHTS
from headct_molre.models.versions import find_version, gate_folder, list_versions, served_version
from headct_molre.training.finetune.job_files import RESULT, TERMINATED
from headct_molre.training.finetune.run import run_task
from headct_molre.training.finetune.task import FineTuneResult

# Enough epochs that a random moment is mostly one of training.
LONG = {"epochs": 12, "choice_epochs": 3}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return shifted_site(tmp_path_factory.mktemp("site"), 80, random_share=0.5)


def start(job: Path, home: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"HEADCT_MOLRE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "headct_molre.training.finetune", str(job)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(job: Path, home: Path) -> dict[str, bytes]:
    """Run to the end; the files of the version that was made."""
    assert start(job, home).wait(300) == 0
    return files(job, home)


def files(job: Path, home: Path) -> dict[str, bytes]:
    """The files of the version that the job in a folder made."""
    made = FineTuneResult.model_validate_json((job / RESULT).read_bytes()).version
    folder = home / "models" / "demo" / made
    return {name: (folder / name).read_bytes() for name in (WEIGHTS, CARD)}


def check_nothing_half(monkeypatch, home: Path) -> None:
    """What a server would read now: aliases, versions, and the gate's word on each."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(home))
    assert served_version("demo") == "2.0"
    candidate = read_aliases(home / "models" / "demo").candidate
    assert candidate is None or find_version("demo", candidate)
    for entry in list_versions("demo"):
        if not entry.shipped:
            assert {path.name for path in find_version("demo", entry.version).iterdir()} == {WEIGHTS, CARD}
            assert (gate_folder("demo", entry.version) / "gate.json").is_file()
            assert entry.gate != "not_judged", "the weights have the hash that the gate judged"


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [50])
def test_killed_at_random_moments_a_fine_tune_gives_the_same_version(site, tmp_path, monkeypatch, kills):
    task = site.task(LONG)
    began = time.monotonic()
    expected = finish(site.job(task, "unbroken"), tmp_path / "unbroken")
    whole = time.monotonic() - began
    rng, killed, rounds = random.Random(0), 0, 0
    while killed < kills:
        rounds += 1
        home, job = tmp_path / f"home-{rounds}", site.job(task, f"job-{rounds}")
        for _ in range(4):
            process = start(job, home)
            time.sleep(rng.uniform(0.2, 1.05) * whole)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += process.wait() == -signal.SIGKILL
            check_nothing_half(monkeypatch, home)
        assert finish(job, home) == expected
    print(f"{killed} kills in {rounds} rounds; unbroken {whole:.1f} s")


def test_killed_while_it_learns_it_goes_on_where_it_was(site, tmp_path, monkeypatch):
    task = site.task(LONG)
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "straight"))
    straight = site.job(task, "straight")
    run_task(task, straight)
    expected = files(straight, tmp_path / "straight")
    home, job = tmp_path / "home", site.job(task, "cut-off")
    process = start(job, home)
    until = time.monotonic() + 120
    while not (job / "checkpoint.safetensors").exists():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    check_nothing_half(monkeypatch, home)
    assert list_versions("demo")[0].version == "2.0"
    assert finish(job, home) == expected


def test_asked_to_stop_it_leaves_nothing_half(site, tmp_path, monkeypatch):
    job = site.job(site.task(LONG), "stopped")
    process = start(job, tmp_path)
    until = time.monotonic() + 120
    while not (job / "inputs.sha256").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    process.terminate()
    assert process.wait(20) == TERMINATED
    assert not (job / RESULT).exists()
    check_nothing_half(monkeypatch, tmp_path)
