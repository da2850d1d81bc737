"""Hostile studies: each ends in its own refusal, within 5 seconds and 1 GB, measured in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hostile_dicom
import hostile_files

HERE = Path(__file__).parent
SECONDS, MEGABYTES = 5.0, 1000.0
EXPECTED = hostile_dicom.EXPECTED | hostile_files.EXPECTED
REMEDY = re.compile(r"(Export|Send|Save|Make|Copy|Check|Unpack|Supported:) [^.]*")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and pipes")


@pytest.fixture(scope="module")
def reader() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "always", str(HERE / "read_and_measure.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.stdin.close()
        assert "SECRET" not in process.stderr.read()


@pytest.mark.parametrize("study", EXPECTED, ids=lambda study: study.__name__)
def test_a_hostile_study_is_refused_in_time_and_memory(reader, tmp_path, study: Callable[[Path], Path]):
    path = study(tmp_path)
    reader.stdin.write(json.dumps(str(path)) + "\n")
    reader.stdin.flush()
    outcome = json.loads(reader.stdout.readline())
    assert outcome["code"] == EXPECTED[study], outcome
    assert outcome["seconds"] < SECONDS, outcome
    assert outcome["megabytes"] < MEGABYTES, outcome
    assert REMEDY.search(outcome["message"]), outcome
    assert "SECRET" not in outcome["message"]
