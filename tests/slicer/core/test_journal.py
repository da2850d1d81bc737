"""The local journal: a crash loses no call."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from HeadCTFindingsLib.core import files
from HeadCTFindingsLib.core.calls import ABSENT, PRESENT, UNCERTAIN, Calls
from HeadCTFindingsLib.core.journal import Journal

SERVER, STUDY, READER = "http://127.0.0.1:8000", "study-1", "anna"
KEYS = ("midline_shift", "sinusitis", "hydrocephalus")


def kept(calls, study):
    calls.listener = lambda _: study.note(calls)
    return calls


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


@pytest.fixture
def study(journal):
    return journal.open(SERVER, STUDY, READER)


@pytest.fixture
def calls(study):
    return kept(Calls(KEYS), study)


def test_every_change_is_on_the_disk_before_the_next_thing_happens(calls, study):
    calls.set("midline_shift", PRESENT)
    calls.set("sinusitis", ABSENT)
    calls.set("midline_shift", UNCERTAIN)
    calls.undo()
    calls.clear("sinusitis")
    study.note_comment("motion")
    study.note_seconds(12.34)
    draft = study.draft()
    assert (draft.findings, draft.comment, draft.seconds) == ({"midline_shift": PRESENT}, "motion", 12.3)
    assert draft.text.startswith("study-1: 1 call not submitted, last at 20")


def test_calls_come_back_as_they_were_and_are_still_unsaved(calls, study):
    calls.set("midline_shift", PRESENT)
    study.note_comment("motion")
    restored = study.restore(KEYS)
    assert restored.called == {"midline_shift": PRESENT}
    assert restored.comment == "motion"
    assert restored.dirty
    assert restored.undo_text is None
    assert study.restore(["sinusitis"]).called == {}  # the server knows other findings now


def test_a_study_without_calls_leaves_no_file(journal, study):
    assert study.draft() is None
    assert study.restore(KEYS) is None
    study.close("an-id")
    assert journal.drafts() == ()


def test_a_submission_ends_the_draft(journal, calls, study):
    calls.set("midline_shift", PRESENT)
    study.close("an-id")
    assert study.draft() is None
    calls.set("sinusitis", PRESENT)
    # The next submission takes the place of this one: the draft holds what it had, too.
    assert study.draft().findings == {"midline_shift": PRESENT, "sinusitis": PRESENT}


def test_a_crash_between_submission_and_clean_up_brings_nothing_back(calls, study, monkeypatch):
    calls.set("midline_shift", PRESENT)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    study.close("an-id")
    assert study.draft() is None


def test_drafts_are_told_by_server_and_reader(journal):
    for server, reader in ((SERVER, "anna"), (SERVER, "bob"), ("https://elsewhere:443", "anna")):
        kept(Calls(KEYS), journal.open(server, STUDY, reader)).set("sinusitis", ABSENT)
    assert len(journal.drafts()) == 3
    (mine,) = journal.drafts(SERVER, "anna")
    assert (mine.server, mine.study, mine.reader) == (SERVER, STUDY, "anna")


def test_a_draft_can_be_dropped(calls, study):
    calls.set("midline_shift", PRESENT)
    study.discard()
    assert study.draft() is None


def test_a_line_that_a_crash_has_cut_off_costs_that_line_only(journal, calls, study, tmp_path):
    calls.set("midline_shift", PRESENT)
    (file,) = (tmp_path / "journal").iterdir()
    with file.open("ab") as damaged:
        damaged.write(b'{"server": "http://12')
    calls.set("sinusitis", ABSENT)
    with file.open("ab") as damaged:
        damaged.write(b"[3]\n")
    assert study.draft().findings == {"midline_shift": PRESENT, "sinusitis": ABSENT}
    assert file.stat().st_mode & 0o077 == 0


def test_a_killed_process_loses_no_call_that_was_made(tmp_path):
    program = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from HeadCTFindingsLib.core.calls import Calls
from HeadCTFindingsLib.core.journal import Journal
keys = [f"finding_{number}" for number in range(500)]
study = Journal(Path(sys.argv[2])).open("http://x:1", "study-1", "anna")
calls = Calls(keys, lambda _: study.note(calls))
for key in keys:
    calls.set(key, "present")
    print(key, flush=True)
time.sleep(60)
"""
    package = Path(files.__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program, str(package), str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline().strip() for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.read().split()
    (draft,) = Journal(tmp_path).drafts()
    assert set(said) <= set(draft.findings)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "kept.json"
    files.write_json(target, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(target, {"a": object()})
    assert files.read_lines(target) == [{"a": 1}]
    assert list(tmp_path.iterdir()) == [target]
