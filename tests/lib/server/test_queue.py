"""The inference queue: turns, shared results, cancellation, refusals, and a stop that leaves nobody without an answer."""

import threading
import time
from concurrent.futures import CancelledError

import pytest

from headct_molre.errors import StudyRefused
from headct_molre.server.queue import InferenceCancelled, InferenceQueue, QueueRefused

LONG = 20  # seconds after which a test gives up


class Held:
    """Work that starts when its turn comes, notes it in `log`, and ends when it is told to."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, device, boundary):
        self.log.append(self.name)
        self.started.set()
        assert self.go.wait(LONG)
        boundary()
        self.log.append(f"{self.name} passed its boundary")
        return self.name, device


@pytest.fixture
def log():
    return []


@pytest.fixture
def make():
    queues = []

    def start(devices=("cpu",), limit=8):
        queues.append(InferenceQueue(devices, limit))
        return queues[-1]

    yield start
    for queue in queues:
        queue.stop()


def busy(queue, log, request_id="first"):
    """A queue whose device runs something."""
    held = Held(request_id, log)
    future = queue.submit(request_id, "demo", held, request_id=request_id)
    assert held.started.wait(LONG)
    return held, future


def quick(name, log):
    def work(device, boundary):
        log.append(name)
        return name

    return work


def ask(queue, log, name, **options):
    return queue.submit(name, "demo", quick(name, log), request_id=name, **options)


def test_readers_take_turns_and_a_batch_comes_last(make, log):
    queue = make()
    held, _ = busy(queue, log)
    futures = [ask(queue, log, "batch", batch=True)]
    futures += [ask(queue, log, f"anna {number}", reader="anna") for number in range(3)]
    futures += [ask(queue, log, "ben 0", reader="ben")]
    order = ["anna 0", "ben 0", "anna 1", "anna 2", "batch"]
    (status,) = queue.status()
    assert [(entry["request_id"], entry["position"]) for entry in status["waiting"]] == [
        (name, place + 1) for place, name in enumerate(order)
    ]
    held.go.set()
    assert [future.result(LONG) for future in futures]
    assert log == ["first", "first passed its boundary", *order]


def test_a_reader_who_asks_again_waits_behind_one_who_came_meanwhile(make, log):
    queue = make()
    held, _ = busy(queue, log)
    for name, reader in (("a1", "anna"), ("b1", "ben"), ("b2", "ben"), ("a2", "anna")):
        last = ask(queue, log, name, reader=reader)
    held.go.set()
    last.result(LONG)
    ask(queue, log, "end").result(LONG)
    assert [name for name in log if len(name) == 2] == ["a1", "b1", "a2", "b2"]


def test_a_request_goes_to_the_device_with_the_shortest_queue(make, log):
    queue = make(("cuda:0", "cuda:1"))
    first, second = Held("first", log), Held("second", log)
    futures = [queue.submit(held.name, "demo", held, request_id=held.name) for held in (first, second)]
    assert first.started.wait(LONG)
    assert second.started.wait(LONG)
    ask(queue, log, "third")
    ask(queue, log, "fourth")
    assert [len(status["waiting"]) for status in queue.status()] == [1, 1]
    first.go.set()
    second.go.set()
    assert {future.result(LONG)[1] for future in futures} == {"cuda:0", "cuda:1"}


def test_the_same_request_is_computed_once_and_answered_to_all(make, log):
    queue = make()
    held, first = busy(queue, log)
    waiting = [ask(queue, log, "same", reader=str(number)) for number in range(4)]
    joined = queue.submit("first", "demo", quick("never", log), request_id="joined")
    assert len(queue.status()[0]["waiting"]) == 4
    assert {entry["position"] for entry in queue.status()[0]["waiting"]} == {1}
    held.go.set()
    assert first.result(LONG) == joined.result(LONG) == ("first", "cpu")
    assert [future.result(LONG) for future in waiting] == ["same"] * 4
    assert log.count("same") == 1
    assert "never" not in log


def test_a_reader_lifts_what_a_batch_was_going_to_compute(make, log):
    queue = make()
    held, _ = busy(queue, log)
    batch = [ask(queue, log, f"batch {number}", batch=True) for number in range(3)]
    queue.submit("batch 2", "demo", quick("never", log), request_id="anna", reader="anna")
    held.go.set()
    assert [future.result(LONG) for future in batch] == ["batch 0", "batch 1", "batch 2"]
    assert log[2:] == ["batch 2", "batch 0", "batch 1"]


def test_a_full_queue_refuses_with_a_time_and_takes_batches_all_the_same(make, log):
    queue = make(limit=2)
    held, _ = busy(queue, log)
    ask(queue, log, "one"), ask(queue, log, "two")
    with pytest.raises(QueueRefused) as refused:
        ask(queue, log, "three")
    assert (refused.value.code, refused.value.status) == ("queue_full", 503)
    assert 1 <= refused.value.retry_after_s <= 600
    assert queue.submit("one", "demo", quick("never", log), request_id="joins").cancel()  # what waits already takes no place
    batch = ask(queue, log, "batch", batch=True)
    held.go.set()
    assert batch.result(LONG) == "batch"
    assert ask(queue, log, "three").result(LONG) == "three"


def test_without_waiting_places_one_request_runs_at_a_time(make, log):
    queue = make(limit=0)
    held, first = busy(queue, log)
    with pytest.raises(QueueRefused):
        ask(queue, log, "second")
    held.go.set()
    first.result(LONG)


def test_the_expected_wait_follows_from_what_inferences_took(make, log):
    queue = make()
    held, first = busy(queue, log)
    assert queue.status()[0]["expected_wait_s"] is None
    held.go.set()
    first.result(LONG)

    def slow(device, boundary):
        time.sleep(0.4)

    queue.submit("slow", "other", slow, request_id="slow").result(LONG)
    held, _ = busy(queue, log, "second")
    queue.submit("a", "other", slow, request_id="a")
    queue.submit("b", "other", slow, request_id="b")
    (status,) = queue.status()
    assert status["waiting"][1]["expected_wait_s"] - status["waiting"][0]["expected_wait_s"] == pytest.approx(0.4, abs=0.15)
    assert status["expected_wait_s"] - status["waiting"][1]["expected_wait_s"] == pytest.approx(0.4, abs=0.15)
    held.go.set()


def test_a_waiting_request_is_cancelled_by_its_id_and_only_by_its_reader(make, log):
    queue = make()
    held, _ = busy(queue, log)
    future = ask(queue, log, "waits", reader="anna")
    assert queue.cancel("unknown") == 0
    assert queue.cancel("waits", reader="ben") == 0
    assert queue.cancel("waits", reader="anna") == 1
    with pytest.raises(InferenceCancelled) as cancelled:
        future.result(LONG)
    assert (cancelled.value.code, cancelled.value.status) == ("cancelled", 409)
    held.go.set()
    ask(queue, log, "end").result(LONG)
    assert "waits" not in log


def test_a_running_request_is_answered_at_once_and_ends_at_its_boundary(make, log):
    queue = make()
    held, future = busy(queue, log)
    assert queue.cancel("first") == 1
    with pytest.raises(InferenceCancelled):
        future.result(LONG)
    held.go.set()
    ask(queue, log, "end").result(LONG)
    assert log == ["first", "end"]


def test_a_client_that_leaves_takes_its_request_along_but_not_that_of_another(make, log):
    queue = make()
    held, first = busy(queue, log)
    alone, shared, other = ask(queue, log, "alone"), ask(queue, log, "shared"), ask(queue, log, "shared")
    assert alone.cancel()
    assert shared.cancel()
    joined = queue.submit("first", "demo", quick("never", log), request_id="joined")
    assert first.cancel()
    held.go.set()
    assert other.result(LONG) == "shared"
    assert joined.result(LONG) == ("first", "cpu")
    with pytest.raises(CancelledError):
        shared.result(LONG)
    assert log == ["first", "first passed its boundary", "shared"]


def test_the_same_request_again_saves_one_that_was_given_up(make, log):
    queue = make()
    held, first = busy(queue, log)
    assert first.cancel()
    again = queue.submit("first", "demo", quick("never", log), request_id="again")
    held.go.set()
    assert again.result(LONG) == ("first", "cpu")


def test_after_its_boundary_nobody_joins_what_was_given_up(make, log):
    queue = make()
    started, given_up, passed, end = (threading.Event() for _ in range(4))

    def slow_to_end(device, boundary):
        started.set()
        assert given_up.wait(LONG)
        try:
            boundary()
        finally:
            passed.set()
            assert end.wait(LONG)

    queue.submit("x", "demo", slow_to_end, request_id="x")
    assert started.wait(LONG)
    queue.cancel("x")
    given_up.set()
    assert passed.wait(LONG)
    fresh = queue.submit("x", "demo", quick("fresh", log), request_id="fresh")
    end.set()
    assert fresh.result(LONG) == "fresh"


@pytest.mark.parametrize("error", [StudyRefused("not_head", "No head."), MemoryError(), SystemExit(3)])
def test_a_failure_is_its_requests_answer_and_the_worker_lives_on(make, log, error):
    def fails(device, boundary):
        raise error

    queue = make()
    future = queue.submit("fails", "demo", fails, request_id="fails")
    with pytest.raises(RuntimeError if isinstance(error, SystemExit) else type(error)):
        future.result(LONG)
    assert ask(queue, log, "after").result(LONG) == "after"
    assert queue.status()[0]["running"] == []


def test_a_stop_hands_back_what_waits_and_lets_what_runs_end(make, log):
    queue = make()
    held, first = busy(queue, log)
    waiting = [ask(queue, log, "reader"), ask(queue, log, "batch", batch=True)]
    queue.stop()
    for future in waiting:
        with pytest.raises(QueueRefused) as handed_back:
            future.result(LONG)
        assert handed_back.value.code == "stopping"
    with pytest.raises(QueueRefused, match="stopping"):
        ask(queue, log, "late")
    held.go.set()
    assert queue.join(LONG)
    assert first.result(LONG) == ("first", "cpu")


def test_a_stop_hands_back_what_runs_too_long(make, log):
    queue = make()
    held, first = busy(queue, log)
    queue.stop()
    assert not queue.join(0.05)
    with pytest.raises(QueueRefused, match="stopping"):
        first.result(LONG)
    held.go.set()
    assert queue.join(LONG)
    assert log == ["first"]


def test_many_askers_at_once_get_their_own_answers(make):
    queue = make(("a", "b"), limit=10_000)
    answers = {}

    def client(reader):
        for number in range(50):
            future = queue.submit((number % 10), "demo", lambda device, boundary, n=number % 10: n, request_id=reader, reader=reader)
            if number % 7 == 0:
                future.cancel()
            else:
                answers[reader, number] = future.result(LONG) == number % 10

    threads = [threading.Thread(target=client, args=(str(reader),)) for reader in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(answers) == 8 * (50 - 8)
    assert all(answers.values())
    assert [status["waiting"] for status in queue.status()] == [[], []]
