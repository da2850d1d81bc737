"""Where a request stands in the queue, in words."""

import pytest

from HeadCTFindingsLib.core.queue_place import queue_place


def queue(*waits):
    waiting = [{"request_id": f"w{n}", "position": n, "expected_wait_s": wait} for n, wait in enumerate(waits, 1)]
    return [{"device": "cpu", "running": [{"request_id": "r"}], "waiting": waiting}, {"device": "cuda:0", "running": [], "waiting": []}]


@pytest.mark.parametrize(
    ("request_id", "words"),
    [
        ("r", "running"),
        ("w1", "1st in the queue, about to start"),
        ("w2", "2nd in the queue, about 20 s"),
        ("w3", "3rd in the queue, about 2 min"),
        ("w4", "4th in the queue"),
        ("w11", "11th in the queue"),
        ("nobody", ""),
    ],
)
def test_the_place_is_said_with_the_wait_where_it_is_known(request_id, words):
    assert queue_place(queue(0.4, 20.2, 130, *[None] * 8), request_id) == words


def test_an_empty_server_says_nothing():
    assert queue_place([], "r") == ""
