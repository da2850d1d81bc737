"""Retraining through the client against the real server: ready, train, watch, judge, promote, compare, roll back."""

import time

import pytest

from HeadCTFindingsLib.core.calls import ABSENT, PRESENT, Calls
from HeadCTFindingsLib.core.client import Client
from HeadCTFindingsLib.core.comparison import shifts, summary
from HeadCTFindingsLib.core.errors import ServerError
from HeadCTFindingsLib.core.gate import GateSummary
from HeadCTFindingsLib.core.prediction import PredictionView
from HeadCTFindingsLib.core.retrain import JobView, LogTail, Readiness, version_rows
from HeadCTFindingsLib.core.submission import submission

MODEL, STUDY = "demo", "phantom-0001"
QUICK = {"minimum_corrections": 2, "epochs": 2, "choice_epochs": 1, "strengths": [4.0], "replay_studies": 20}
WAIT_S = 180.0


@pytest.fixture(scope="module")
def tina(address, token_of):
    """The client of a trainer."""
    return Client(address, token_of("tina", "trainer"))


def shown(client):
    return PredictionView.from_json(client.infer(MODEL, STUDY))


def watched(client, job_id):
    deadline = time.monotonic() + WAIT_S
    while (job := JobView.from_json(client.job(job_id))).running:
        assert time.monotonic() < deadline
        assert job.line
        time.sleep(0.1)
    return job


def whole_log(client, job_id):
    tail, text = LogTail(), ""
    while not tail.ended:
        text = tail.add(client.job_log(job_id, tail.after))
    return text


def test_corrections_become_a_version_that_serves_and_can_be_taken_back(tina, anna, catalogue):
    before = shown(tina)
    for study, state in (("phantom-0001", PRESENT), ("phantom-0002", ABSENT)):
        calls = Calls(catalogue.keys)
        calls.set("skull_fracture", state)
        tina.submit(submission(calls, study, "tina", before))
    readiness = Readiness.from_json(tina.training(MODEL))
    assert not readiness.ready
    assert readiness.reason in readiness.lines
    assert readiness.corrections >= 2
    with pytest.raises(ServerError) as few:
        tina.train(MODEL)
    assert few.value.code == "too_few_corrections"
    with pytest.raises(ServerError) as not_allowed:
        anna.train(MODEL, QUICK)
    assert not_allowed.value.code == "forbidden"

    task = tina.train(MODEL, QUICK)
    with pytest.raises(ServerError) as busy:
        tina.train(MODEL, QUICK)
    assert (busy.value.code, busy.value.passing) == ("busy", True)
    job = watched(tina, task["id"])
    assert job.state == "succeeded", (job.problem, whole_log(tina, task["id"]))
    assert job.version in job.line
    assert job.outcome_lines[-1] == job.following
    assert tina.jobs()[0]["job_id"] == task["id"]
    assert whole_log(tina, task["id"]).strip()
    with pytest.raises(ServerError):
        tina.resume_job(task["id"])  # there is nothing left to be done

    gate = GateSummary.from_json(tina.gate(MODEL, job.version))
    assert (gate.candidate, gate.champion, gate.outcome) == (job.version, "2.0", job.outcome)
    assert gate.needs_reason  # a handful of studies shows nothing
    page = tina.gate_page(MODEL, job.version)
    assert "<html" in page
    # A file has no headers: the policy is inside, before anything that an imported report could bring.
    assert page.lower().startswith('<!doctype html><meta http-equiv="content-security-policy" content="default-src &#x27;none&#x27;;')
    candidate = next(row for row in version_rows(tina.versions(MODEL)) if row.candidate)
    assert (candidate.version, candidate.parent) == (job.version, "2.0")
    assert tina.diff(MODEL, "2.0", job.version)["same_weights"] is False

    with pytest.raises(ServerError) as meanwhile:
        tina.promote(MODEL, job.version, "a test", against="1.0")
    assert meanwhile.value.code == "champion_changed"
    assert tina.promote(MODEL, job.version, "a test", against="2.0")["after"] == job.version
    after = shown(tina)
    assert after.version == job.version
    assert summary(before, after).startswith(f"{before.title} → {after.title}: ")
    assert all(shift.text(catalogue) for shift in shifts(before, after))
    assert tina.rollback(MODEL, "a test")["after"] == "2.0"
    assert shown(tina).version == "2.0"
    assert [event["action"] for event in tina.version_history(MODEL)] == ["promoted", "rolled_back"]


def test_a_training_that_is_cancelled_changes_nothing(tina, catalogue):
    calls = Calls(catalogue.keys)
    calls.set("skull_fracture", ABSENT)
    tina.submit(submission(calls, "phantom-0002", "tina"))
    task = tina.train(MODEL, {**QUICK, "epochs": 10_000})
    tina.cancel_job(task["id"])
    job = watched(tina, task["id"])
    assert job.line == "Cancelled; nothing was changed"
    assert not job.resumable
    assert tina.cancel_job(task["id"])["state"] == "cancelled"  # pressed twice
