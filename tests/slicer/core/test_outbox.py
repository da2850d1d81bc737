"""Submissions on their way: none is lost, none is stored twice, and what is refused for good is kept with the reason."""

import json
import random

import pytest

from HeadCTFindingsLib.core.calls import PRESENT, Calls
from HeadCTFindingsLib.core.errors import Cancelled, NotReadable, ServerError, Unreachable
from HeadCTFindingsLib.core.outbox import FIRST_S, MOST_S, Outbox
from HeadCTFindingsLib.core.submission import submission

HERE, THERE = "http://127.0.0.1:8000", "https://ct.hospital.example:443"
GONE = Unreachable("refused", "No server listens.", "Start it.")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    random.seed(1)
    return Clock()


@pytest.fixture
def outbox(tmp_path, clock):
    return Outbox(tmp_path / "outbox", clock)


def letter(study="study-1"):
    calls = Calls(["midline_shift"])
    calls.set("midline_shift", PRESENT)
    return submission(calls, study, "anna")


def failing(error):
    def submit(document):
        raise error

    return submit


def receipt(document):
    return {"submission_id": document["submission_id"], "study": document["study"], "received_at": "2026-11-28T05:00:00Z"}


def test_it_is_on_the_disk_before_it_is_sent(outbox, tmp_path):
    put = outbox.put(HERE, letter())
    (file,) = (tmp_path / "outbox").glob("*.json")
    assert json.loads(file.read_bytes())["document"] == put.document
    assert (file.stat().st_mode & 0o077, (tmp_path / "outbox").stat().st_mode & 0o077) == (0, 0)
    assert outbox.count == 1


def test_what_was_stored_is_forgotten(outbox, tmp_path):
    put = outbox.put(HERE, letter())
    sent = outbox.flush(HERE, receipt)
    assert sent.stored[put.submission_id]["study"] == "study-1"
    assert outbox.count == 0
    assert not list((tmp_path / "outbox").iterdir())
    assert outbox.line == ""


def test_it_survives_a_restart_with_its_tries(outbox, tmp_path, clock):
    put = outbox.put(HERE, letter())
    outbox.flush(HERE, failing(GONE))
    again = Outbox(tmp_path / "outbox", clock)
    (kept,) = again.waiting()
    assert (kept.submission_id, kept.attempts) == (put.submission_id, 1)
    assert again.line == "1 not sent yet (No server listens. Start it)"


def test_waits_grow_up_to_five_minutes(outbox, clock):
    outbox.put(HERE, letter())
    waits = []
    for _ in range(12):
        clock.now = outbox.waiting()[0].due
        outbox.flush(HERE, failing(GONE))
        waits.append(outbox.seconds_to_next(HERE))
    assert FIRST_S / 2 <= waits[0] <= FIRST_S
    assert waits[4] > waits[0]
    assert MOST_S / 2 <= waits[-1] <= MOST_S


def test_a_later_submission_never_overtakes_an_earlier_one(outbox, tmp_path, clock):
    letters = [outbox.put(HERE, letter("study-1")) for _ in range(20)]
    order = [each.submission_id for each in letters]
    assert [each.submission_id for each in Outbox(tmp_path / "outbox", clock).waiting()] == order  # in the files' order it would
    outbox.flush(HERE, failing(GONE))
    assert outbox.flush(HERE, receipt).stored == {}  # the first is not due, so none is sent
    last = outbox.put(HERE, letter("study-1"))
    assert list(outbox.flush(HERE, receipt).stored) == [*order, last.submission_id]


def test_before_it_is_due_nothing_is_tried_until_somebody_asks_for_it(outbox):
    outbox.put(HERE, letter())
    outbox.flush(HERE, failing(GONE))
    assert outbox.flush(HERE, receipt).stored == {}
    outbox.make_due(HERE)
    assert outbox.seconds_to_next(HERE) == 0
    assert len(outbox.flush(HERE, receipt).stored) == 1
    assert outbox.seconds_to_next(HERE) is None


def test_what_is_for_one_server_never_goes_to_another(outbox):
    outbox.put(THERE, letter())
    assert outbox.flush(HERE, receipt).stored == {}
    assert (outbox.waiting(HERE), len(outbox.waiting(THERE))) == ((), 1)


@pytest.mark.parametrize(
    "error",
    [
        GONE,
        Unreachable("app", "Another program.", ""),
        ServerError("stopping", "Stopping.", 503, retry_after=30),
        ServerError("internal_error", "Failed.", 500),
        ServerError("unauthenticated", "Who are you?", 401),
        ServerError("forbidden", "Role too low.", 403),
        ServerError("http_error", "Not found, says a proxy.", 404),
        NotReadable("the answer of the server is no JSON"),
    ],
)
def test_what_is_no_fault_of_the_submission_waits_and_ends_the_round(outbox, error):
    outbox.put(HERE, letter("study-1"))
    outbox.put(HERE, letter("study-2"))
    asked = []
    sent = outbox.flush(HERE, lambda document: (asked.append(document), failing(error)(document)))
    assert len(asked) == 1
    assert len(sent.waiting) == 1
    assert outbox.count == 2


def test_the_server_says_when_to_come_again(outbox):
    outbox.put(HERE, letter())
    outbox.flush(HERE, failing(ServerError("too_busy", "Busy.", 503, retry_after=30)))
    assert outbox.seconds_to_next(HERE) == 30


@pytest.mark.parametrize("code", ["unknown_study", "submission_conflict", "other_reader"])
def test_what_the_server_refuses_for_good_is_kept_aside_with_the_reason(outbox, tmp_path, code):
    put = outbox.put(HERE, letter())
    other = outbox.put(HERE, letter("study-2"))
    refusal = ServerError(code, "Refused.", 404, field="study")
    sent = outbox.flush(HERE, lambda document: failing(refusal)(document) if document["study"] == "study-1" else receipt(document))
    assert [each.submission_id for each in sent.refused] == [put.submission_id]
    assert list(sent.stored) == [other.submission_id]  # the others go on
    (kept,) = Outbox(tmp_path / "outbox").refused()
    assert kept.text == "study-1, 1 call by anna: Refused. (study)"
    assert outbox.line == "1 refused by the server"
    outbox.retry(put.submission_id)
    assert len(outbox.flush(HERE, receipt).stored) == 1


def test_a_refused_one_is_dropped_only_when_somebody_says_so(outbox):
    put = outbox.put(HERE, letter())
    outbox.flush(HERE, failing(ServerError("unknown_study", "No.", 404)))
    assert outbox.count == 0
    assert len(outbox.refused()) == 1
    outbox.discard(put.submission_id)
    assert outbox.refused() == ()


def test_a_cancellation_leaves_everything_where_it_is(outbox):
    outbox.put(HERE, letter())

    def check():
        raise Cancelled("left")

    with pytest.raises(Cancelled):
        outbox.flush(HERE, receipt, check)
    with pytest.raises(Cancelled):
        outbox.flush(HERE, failing(Cancelled("left")))
    assert outbox.waiting()[0].attempts == 0


def test_a_damaged_file_is_left_and_named(tmp_path):
    folder = tmp_path / "outbox"
    Outbox(folder).put(HERE, letter())
    (folder / "broken.json").write_text('{"server": ')
    outbox = Outbox(folder)
    assert outbox.damaged == ["broken.json"]
    assert outbox.count == 1
    assert (folder / "broken.json").exists()


def test_several_calls_are_counted_in_words(outbox):
    calls = Calls(["midline_shift", "sinusitis"])
    calls.mark_rest_absent(calls.rest())
    assert outbox.put(HERE, submission(calls, "study-1", "anna")).text == "study-1, 2 calls by anna"
