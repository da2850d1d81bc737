"""Work in threads: answers arrive on the polling thread, lanes do not wait for each other, nothing comes after a cancellation."""

import threading
import time

import pytest

from HeadCTFindingsLib.core.errors import Cancelled, ServerError, Unreachable
from HeadCTFindingsLib.core.worker import SUBMIT, TRANSFER, Retry, Worker

SOON_S = 10.0  # a test machine is shared
BUSY = ServerError("too_busy", "Busy.", 503)
QUICK = Retry(attempts=3, first_s=0.01)


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.stop()


def poll_until(worker, condition):
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline
        worker.poll()
        time.sleep(0.002)


def test_an_answer_arrives_on_the_thread_that_polls(worker):
    got = []
    ticket = worker.submit(lambda ticket: threading.current_thread(), lambda thread: got.append((thread, threading.current_thread())))
    assert worker.busy
    assert ticket.pending
    poll_until(worker, lambda: got)
    assert not ticket.pending
    ((worked, called),) = got
    assert called is threading.current_thread()
    assert worked is not called
    assert not worker.busy


def test_nothing_is_called_without_a_poll(worker):
    got = []
    worker.submit(lambda ticket: 1, got.append)
    time.sleep(0.05)
    assert got == []
    poll_until(worker, lambda: got)


def test_one_lane_works_in_order(worker):
    got = []
    for number in range(20):
        worker.submit(lambda ticket, number=number: number, got.append)
    poll_until(worker, lambda: len(got) == 20)
    assert got == list(range(20))


def test_an_upload_does_not_hold_up_a_submission(worker):
    release, got = threading.Event(), []
    worker.submit(lambda ticket: release.wait(SOON_S), lambda _: got.append("upload"), label="Upload", lane=TRANSFER)
    worker.submit(lambda ticket: None, lambda _: got.append("submission"), label="Submit", lane=SUBMIT)
    poll_until(worker, lambda: got)
    assert got == ["submission"]
    assert worker.labels == ("Upload",)
    release.set()
    poll_until(worker, lambda: len(got) == 2)


def test_progress_arrives_and_the_last_word_of_a_burst_counts(worker):
    reported, heard, done = threading.Event(), [], []

    def work(ticket):
        for step in range(1000):
            ticket.report(step)
        reported.set()

    worker.submit(work, done.append, progress=heard.append)
    assert reported.wait(SOON_S)
    poll_until(worker, lambda: done)
    assert heard == [999]


def test_no_callback_runs_after_a_cancellation(worker):
    got, ended = [], threading.Event()

    def work(ticket):
        ticket.report("half")
        ended.set()
        return "whole"

    ticket = worker.submit(work, got.append, got.append, got.append)
    assert ended.wait(SOON_S)
    time.sleep(0.02)  # its answer waits for a poll
    ticket.cancel()
    for _ in range(5):
        worker.poll()
    assert got == []
    assert ticket.cancelled
    assert not ticket.pending
    assert not worker.busy


def test_a_callback_that_cancels_another_is_obeyed_within_the_same_poll(worker):
    got = []
    second = []
    worker.submit(lambda ticket: 1, lambda _: second[0].cancel())
    second.append(worker.submit(lambda ticket: 2, got.append))
    time.sleep(0.05)
    poll_until(worker, lambda: not worker.busy)
    assert got == []


def test_cancelling_closes_what_the_work_waits_on(worker):
    closed, waits = threading.Event(), threading.Event()

    def work(ticket):
        ticket.on_cancel(closed.set)
        waits.set()
        assert closed.wait(SOON_S)
        ticket.check()

    ticket = worker.submit(work)
    assert waits.wait(SOON_S)
    ticket.cancel()
    assert closed.is_set()
    assert worker.stop(SOON_S)


def test_what_comes_to_wait_after_the_cancellation_is_closed_at_once(worker):
    outcome, go, cancelled = [], threading.Event(), threading.Event()

    def work(ticket):
        go.set()
        assert cancelled.wait(SOON_S)
        try:
            ticket.on_cancel(lambda: outcome.append("closed"))
        except Cancelled:
            outcome.append("cancelled")

    ticket = worker.submit(work)
    assert go.wait(SOON_S)
    ticket.cancel()
    cancelled.set()
    worker.stop(SOON_S)
    assert outcome == ["closed", "cancelled"]


def test_work_that_hangs_holds_up_nobody_once_it_was_cancelled(worker):
    hangs, release, got = threading.Event(), threading.Event(), []

    def work(ticket):
        hangs.set()
        release.wait(SOON_S)
        got.append("the hanging one has ended")

    ticket = worker.submit(work)
    worker.submit(lambda ticket: 1, got.append)
    assert hangs.wait(SOON_S)
    ticket.cancel()
    worker.submit(lambda ticket: 2, got.append)
    poll_until(worker, lambda: len(got) == 2)
    assert got == [1, 2]
    assert not worker.stop(0.05)  # it knows that a thread is left
    release.set()
    assert worker.stop(SOON_S)


def test_a_closer_that_was_taken_back_is_not_called(worker):
    closed, done = [], []

    def work(ticket):
        ticket.on_cancel(lambda: closed.append(1))()

    ticket = worker.submit(work, done.append)
    poll_until(worker, lambda: done)
    ticket.cancel()
    assert closed == []


def test_a_failure_goes_to_its_handler(worker):
    got = []
    worker.submit(lambda ticket: 1 / 0, failed=got.append)
    poll_until(worker, lambda: got)
    assert isinstance(got[0], ZeroDivisionError)


def test_a_failure_without_a_handler_is_never_silent(worker):
    worker.submit(lambda ticket: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        poll_until(worker, lambda: False)
    heard = []
    other = Worker(heard.append)
    other.submit(lambda ticket: 1 / 0)
    poll_until(other, lambda: heard)
    other.stop()


def test_a_callback_that_fails_does_not_take_the_others_with_it(worker):
    got = []
    worker.submit(lambda ticket: 1, lambda _: 1 / 0)
    worker.submit(lambda ticket: 2, got.append)
    with pytest.raises(ZeroDivisionError):
        poll_until(worker, lambda: False)
    poll_until(worker, lambda: got == [2])


def test_what_may_pass_is_tried_again(worker):
    tries, got = [], []

    def work(ticket):
        tries.append(1)
        if len(tries) < 3:
            raise BUSY
        return "stored"

    worker.submit(work, got.append, retry=QUICK)
    poll_until(worker, lambda: got)
    assert got == ["stored"]
    assert len(tries) == 3


@pytest.mark.parametrize(
    ("error", "tries"), [(BUSY, 3), (ServerError("invalid_submission", "No.", 422), 1), (Unreachable("version", "Old.", "Update."), 1)]
)
def test_it_is_given_up_after_its_tries_or_at_once(worker, error, tries):
    counted, got = [], []

    def work(ticket):
        counted.append(1)
        raise error

    worker.submit(work, failed=got.append, retry=QUICK)
    poll_until(worker, lambda: got)
    assert got == [error]
    assert len(counted) == tries


def test_a_wait_between_two_tries_can_be_cancelled(worker):
    tried = threading.Event()

    def work(ticket):
        tried.set()
        raise BUSY

    ticket = worker.submit(work, retry=Retry(first_s=60))
    assert tried.wait(SOON_S)
    ticket.cancel()
    assert worker.stop(SOON_S)


def test_waits_grow_and_follow_what_the_server_asks_for():
    retry = Retry(first_s=1, factor=2, most_s=5)
    assert 0.5 <= retry.wait_s(1, BUSY) <= 1
    assert 1 <= retry.wait_s(2, BUSY) <= 2
    assert 2.5 <= retry.wait_s(9, BUSY) <= 5
    assert retry.wait_s(1, ServerError("queue_full", "Full.", 503, retry_after=7)) == 7
    assert retry.wait_s(1, ServerError("queue_full", "Full.", 503, retry_after=600)) == 60


def test_a_lane_can_be_emptied_without_the_others(worker):
    release, got = threading.Event(), []
    for lane in (TRANSFER, TRANSFER, SUBMIT):
        worker.submit(lambda ticket: release.wait(SOON_S), lambda _, lane=lane: got.append(lane), lane=lane)
    assert worker.cancel(TRANSFER) == 2
    release.set()
    poll_until(worker, lambda: got)
    assert got == [SUBMIT]


def test_what_was_cancelled_before_its_turn_never_begins(worker):
    release, begun = threading.Event(), []
    worker.submit(lambda ticket: release.wait(SOON_S))
    worker.submit(begun.append).cancel()
    done = []
    worker.submit(lambda ticket: None, done.append)
    release.set()
    poll_until(worker, lambda: done)
    assert begun == []


def test_work_that_somebody_else_took_back_is_heard_of(worker):
    got = []

    def work(ticket):
        raise Cancelled("by the administrator")

    worker.submit(work, failed=got.append)
    poll_until(worker, lambda: got)


def test_a_stop_cancels_everything_and_takes_nothing_new():
    worker, began, got = Worker(), threading.Event(), []

    def work(ticket):
        began.set()
        ticket.sleep(60)

    worker.submit(work, got.append, got.append)
    worker.submit(lambda ticket: 1, got.append)
    assert began.wait(SOON_S)
    assert worker.stop(SOON_S)
    worker.poll()
    assert got == []
    with pytest.raises(RuntimeError):
        worker.submit(work)


def test_a_stop_does_not_wait_for_ever():
    worker, began, release = Worker(), threading.Event(), threading.Event()

    def work(ticket):
        began.set()
        release.wait(SOON_S)

    worker.submit(work)
    assert began.wait(SOON_S)
    assert not worker.stop(0.05)
    release.set()


def test_a_poll_that_takes_long_leaves_the_rest_for_the_next(worker):
    got = []
    for _ in range(3):
        worker.submit(lambda ticket: None, lambda _: (time.sleep(0.03), got.append(1)))
    time.sleep(0.1)
    assert worker.poll(budget_s=0.015) == 1
    poll_until(worker, lambda: len(got) == 3)
