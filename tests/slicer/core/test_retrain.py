"""Retraining as the person sees it: readiness, progress, log, versions."""

import json
from datetime import UTC, datetime

import pytest

from headct_molre.data.store import Job
from headct_molre.models.versions import VersionEntry
from HeadCTFindingsLib.core.errors import NotReadable
from HeadCTFindingsLib.core.retrain import JobView, LogTail, Readiness, duration, version_rows

READY = {
    "ready": False,
    "reason": "There are 3 corrected studies: 3 to learn from, of at least 20.",
    "corrections": 3,
    "trainable": 3,
    "held_out": 0,
    "random_share": 0.667,
    "new_since_champion": 1,
    "minimum_corrections": 20,
    "decision": "person",
    "running": None,
    "modes": ["quick", "full"],
}
PROGRESS = {
    "stage": "training",
    "stage_number": 3,
    "stages": 5,
    "epoch": 4,
    "epochs": 20,
    "percentage": 42.0,
    "seconds_left": 90.0,
    "metrics": {"mean_auc": 0.81234, "loss": 0.2},
    "message": "Training, epoch 4 of 20",
}
RESULT = {
    "version": "2.0-c41-0a1b2c3d",
    "parent": "2.0",
    "outcome": "hold",
    "promotes_by_itself": False,
    "summary": ["The candidate waits.", "Research software, not a medical device."],
    "counts": {"corrections": 41},
    "metrics": {},
    "weights_sha256": "0" * 64,
    "seconds": {"training": 12.0},
    "promoted": False,
    "next": "2.0-c41-0a1b2c3d is the candidate.",
}


def job(state="running", **changes):
    now = datetime.now(UTC)
    given = {
        **{"job_id": "a-job", "sequence": 1, "kind": "train", "model": "demo", "state": state, "owner": "anna", "request": {}},
        **{"progress": {}, "result": None, "error": None, "process": None},
        **{"created_at": now, "started_at": now, "ended_at": None, "updated_at": now},
    }
    return json.loads(Job.model_validate({**given, **changes}).model_dump_json())


def test_what_is_missing_before_a_training_can_start():
    readiness = Readiness.from_json(READY)
    assert not readiness.ready
    assert readiness.modes == ("quick", "full")
    text = "\n".join(readiness.lines)
    assert "3 corrected studies, 1 new" in text
    assert "67 % of them were drawn at random" in text
    assert "A person" not in text
    assert "a person promotes" in text
    assert READY["reason"] in text


def test_a_training_that_can_start_and_promotes_by_itself():
    readiness = Readiness.from_json({**READY, "ready": True, "reason": None, "corrections": 1, "decision": "automatic"})
    assert "1 corrected study," in readiness.lines[0]
    assert readiness.lines[-1] == "The gate promotes by itself."


def test_progress_in_one_line():
    shown = JobView.from_json(job(progress=PROGRESS))
    assert shown.running
    assert shown.line == "Training (3 of 5), epoch 4 of 20, 2 min left"
    assert shown.share == pytest.approx(0.42)
    assert shown.metrics_text == "mean auc 0.812, loss 0.200"
    assert shown.owner == "anna"


def test_a_job_before_its_first_word():
    shown = JobView.from_json(job())
    assert (shown.line, shown.share, shown.seconds_left) == ("Starting", 0.0, None)
    assert JobView.from_json(job("queued")).line == "Waits for its turn"


@pytest.mark.parametrize(
    ("state", "said"),
    [("cancelled", "nothing was changed"), ("interrupted", "it can go on"), ("failed", "Too few corrections.")],
)
def test_a_job_that_came_to_nothing_says_why(state, said):
    shown = JobView.from_json(job(state, error={"code": "too_few_corrections", "message": "Too few corrections."}))
    assert said in shown.line
    assert not shown.running
    assert shown.resumable == (state == "interrupted")
    assert "the log" in JobView.from_json(job("failed")).line


def test_a_job_that_is_done_says_what_came_of_it_and_what_is_next():
    shown = JobView.from_json(job("succeeded", progress=PROGRESS, result=RESULT))
    assert shown.line == "Done: version 2.0-c41-0a1b2c3d"
    assert shown.share == 1.0
    assert (shown.outcome, shown.promoted) == ("hold", False)
    assert shown.outcome_lines == (*RESULT["summary"], RESULT["next"])
    older = JobView.from_json(job("succeeded", result={key: value for key, value in RESULT.items() if key != "next"}))
    assert older.outcome_lines == tuple(RESULT["summary"])


def test_the_log_grows_by_parts_and_keeps_its_end():
    tail = LogTail(lines=3)
    assert tail.add({"text": "one\ntwo\nthr", "next": 11, "ended": False}) == "one\ntwo\nthr"
    assert tail.add({"text": "ee\nfour\n", "next": 19, "ended": True}) == "two\nthree\nfour\n"
    assert (tail.after, tail.ended) == (19, True)


def test_versions_in_words():
    entry = {"created": "2026-11-28T00:00:00+00:00", "adapter": "MoLRE", "demo": True, "mean_auc": None, "weights_sha256": "0" * 64}
    entries = [
        VersionEntry(version="2.0-c41", champion=False, candidate=True, parent="2.0", shipped=False, gate="hold", **entry),
        VersionEntry(version="2.0", champion=True, candidate=False, parent=None, shipped=True, gate="not_judged", **entry),
    ]
    rows = version_rows([json.loads(entry.model_dump_json()) for entry in entries])
    assert [row.text for row in rows] == ["2.0-c41 · candidate · demo · gate: hold", "2.0 · served · demo"]


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0 s"), (12.4, "12 s"), (59.6, "1 min"), (200, "3 min"), (7500, "2 h 5 min")])
def test_times_for_a_person(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("read", [Readiness.from_json, JobView.from_json, version_rows])
@pytest.mark.parametrize("document", [None, [{}], 3])
def test_other_documents_are_refused(read, document):
    with pytest.raises(NotReadable):
        read(document)
