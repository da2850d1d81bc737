"""Jobs: transitions that cannot be lost or made twice, and jobs whose process is gone."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from headct_molre.data.store import JobConflict
from headct_molre.errors import InvalidRequest, ModelUnavailable, NotFound
from headct_molre.server.process import is_gone, process_name

HERE = "machine/1/1"


@pytest.fixture
def jobs(store):
    return store.jobs


def running(jobs, **options):
    return jobs.start(jobs.create("batch_infer", {"images": "all"}, **options).job_id, HERE)


def test_a_job_goes_from_queued_to_succeeded(jobs):
    job = jobs.create("train", {"epochs": 3}, owner="anna", model="demo")
    assert (job.state, job.owner, job.model, job.progress, job.started_at) == ("queued", "anna", "demo", {}, None)
    assert jobs.start(job.job_id, HERE).state == "running"
    assert jobs.progress(job.job_id, {"done": 1, "total": 3})
    assert jobs.progress(job.job_id, {"done": 2})
    assert jobs.get(job.job_id).progress == {"done": 2, "total": 3}
    done = jobs.finish(job.job_id, {"auc": 0.5})
    assert (done.state, done.result) == ("succeeded", {"auc": 0.5})
    assert done.created_at <= done.started_at <= done.ended_at
    document = json.loads(done.model_dump_json())
    assert document["created_at"].endswith("Z")
    assert "process" not in document


def test_a_failure_keeps_its_code_and_words(jobs):
    job = jobs.fail(running(jobs).job_id, ModelUnavailable("backbone_missing", "Fetch it."))
    assert (job.state, job.error) == ("failed", {"code": "backbone_missing", "message": "Fetch it."})


def test_a_cancelled_job_cannot_be_finished_and_its_work_learns_it(jobs):
    job = running(jobs)
    assert jobs.cancel(job.job_id).state == "cancelled"
    assert not jobs.progress(job.job_id, {"done": 9})
    for late in (jobs.finish, jobs.interrupt, lambda job_id: jobs.start(job_id, HERE)):
        with pytest.raises(JobConflict) as conflict:
            late(job.job_id)
        assert conflict.value.code == "job_ended"
    assert jobs.get(job.job_id).progress == {}
    assert jobs.cancel(job.job_id).state == "cancelled"


def test_an_interrupted_job_waits_for_its_turn_again_in_the_process_that_resumes_it(jobs):
    job = running(jobs)
    with pytest.raises(JobConflict) as conflict:
        jobs.requeue(job.job_id, "machine/2/2")
    assert conflict.value.code == "job_running"
    jobs.interrupt(job.job_id)
    again = jobs.requeue(job.job_id, "machine/2/2")
    assert (again.state, again.process, again.started_at) == ("queued", "machine/2/2", job.started_at)
    assert jobs.start(job.job_id, "machine/2/2").state == "running"


def test_jobs_are_listed_by_model(jobs):
    made = [jobs.create("train", {}, model=model).job_id for model in ("demo", "medgemma", "demo")]
    jobs.create("batch_infer", {}, model="demo")
    assert [job.job_id for job in jobs.list(kind="train", model="demo")] == [made[2], made[0]]


def test_what_has_ended_cannot_be_cancelled(jobs):
    job = jobs.finish(running(jobs).job_id)
    with pytest.raises(JobConflict):
        jobs.cancel(job.job_id)


@pytest.mark.parametrize("prepare", ["queued", "running", "interrupted"])
def test_whatever_is_not_done_can_be_cancelled(jobs, prepare):
    job = jobs.create("batch_infer", {})
    if prepare != "queued":
        jobs.start(job.job_id, HERE)
    if prepare == "interrupted":
        jobs.interrupt(job.job_id)
    assert jobs.cancel(job.job_id).state == "cancelled"


def test_a_finish_and_a_cancellation_at_once_have_one_winner(jobs):
    for _ in range(10):
        job = running(jobs)

        def attempt(change, job_id=job.job_id):
            try:
                return change(job_id).state
            except JobConflict:
                return None

        with ThreadPoolExecutor(2) as pool:
            outcomes = [state for state in pool.map(attempt, (jobs.finish, jobs.cancel)) if state is not None]
        assert outcomes == [jobs.get(job.job_id).state]


def test_of_two_processes_one_starts_a_job(jobs):
    job = jobs.create("batch_infer", {})
    jobs.start(job.job_id, HERE)
    with pytest.raises(JobConflict) as conflict:
        jobs.start(job.job_id, "machine/2/2")
    assert conflict.value.code == "job_running"
    assert jobs.get(job.job_id).process == HERE


def test_a_job_that_must_be_alone_is_refused_beside_another_of_its_kind(jobs):
    with ThreadPoolExecutor(8) as pool:
        attempts = [pool.submit(jobs.create, "batch_infer", {}, alone=True) for _ in range(8)]
    refused = [attempt.exception() for attempt in attempts if attempt.exception() is not None]
    assert len(refused) == 7
    assert {(error.code, error.status) for error in refused} == {("busy", 429)}
    jobs.create("train", {}, alone=True)
    (first,) = jobs.list(kind="batch_infer")
    jobs.cancel(first.job_id)
    jobs.create("batch_infer", {}, alone=True)


def test_jobs_of_a_process_that_is_gone_are_interrupted_and_taken_up(jobs):
    left = [jobs.create("batch_infer", {}, process="gone"), running(jobs)]
    ended, mine = jobs.finish(running(jobs).job_id), jobs.start(jobs.create("train", {}).job_id, "mine")
    marked = jobs.interrupt_orphans(lambda process, _: process != "mine")
    assert {job.job_id for job in marked} == {job.job_id for job in left}
    assert {job.state for job in marked} == {"interrupted"}
    assert (jobs.get(ended.job_id).state, jobs.get(mine.job_id).state) == ("succeeded", "running")
    assert [job.job_id for job in jobs.list(states=["interrupted"])] == [job.job_id for job in reversed(left)]
    assert jobs.start(left[1].job_id, "mine").state == "running"


def test_jobs_are_listed_in_pages_the_newest_first(jobs):
    made = [jobs.create("train", {"number": number}) for number in range(7)]
    first = jobs.list(limit=3)
    second = jobs.list(limit=10, before=first[-1].sequence)
    assert [job.job_id for job in first + second] == [job.job_id for job in reversed(made)]
    for limit in (0, 501):
        with pytest.raises(InvalidRequest):
            jobs.list(limit=limit)


def test_an_unknown_job_is_not_found(jobs):
    for call in (jobs.get, jobs.cancel, jobs.finish, lambda job_id: jobs.progress(job_id, {})):
        with pytest.raises(NotFound, match="no such job"):
            call("0")


def test_numbers_that_are_not_finite_are_not_stored(jobs):
    with pytest.raises(ValueError, match="JSON compliant"):
        jobs.progress(running(jobs).job_id, {"loss": float("nan")})


def test_a_process_is_known_by_its_number_and_its_start():
    now = datetime.now(UTC)
    assert not is_gone(process_name(), now - timedelta(days=1))
    machine, number, start = process_name().rsplit("/", 2)
    assert number == str(os.getpid())
    assert is_gone(f"{machine}/{number}/{int(start) - 1}", now)
    assert is_gone(None, now)
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    assert is_gone(f"{machine}/{child.stdout.strip()}/5", now)
    assert not is_gone("elsewhere/1/1", now)
    assert is_gone("elsewhere/1/1", now - timedelta(hours=1))
