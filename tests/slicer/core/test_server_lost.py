"""A server that is killed while calls are submitted, and comes back: nothing is lost, nothing is there twice."""

import signal

import pytest

from HeadCTFindingsLib.core.calls import PRESENT, Calls
from HeadCTFindingsLib.core.connection import check_connection
from HeadCTFindingsLib.core.errors import Unreachable
from HeadCTFindingsLib.core.outbox import Outbox
from HeadCTFindingsLib.core.submission import submission


def reading(study):
    calls = Calls(["midline_shift"])
    calls.set("midline_shift", PRESENT)
    return submission(calls, study, "anna")


def test_calls_outlive_the_server(server, anna, tmp_path):
    base, folder = anna.address.base, tmp_path / "outbox"
    outbox = Outbox(folder)
    first, second = outbox.put(base, reading("phantom-0001")), outbox.put(base, reading("phantom-0002"))

    def killed_before_it_is_heard(document):
        anna.submit(document)
        server.stop(signal.SIGKILL)
        raise anna.http.unreachable(ConnectionResetError())  # the answer never arrived

    try:
        sent = outbox.flush(base, killed_before_it_is_heard)
        assert (len(sent.stored), len(sent.waiting), outbox.count) == (0, 1, 2)
        outbox.make_due(base)
        outbox.flush(base, anna.submit)
        assert "No server listens" in outbox.line
        with pytest.raises(Unreachable) as gone:
            check_connection(anna)
        assert gone.value.step == "refused"
    finally:
        server.start()

    outbox = Outbox(folder)  # Slicer was restarted, too
    outbox.make_due(base)
    sent = outbox.flush(base, anna.submit)
    assert set(sent.stored) == {first.submission_id, second.submission_id}
    assert outbox.count == 0
    for letter in (first, second):
        ids = [record["submission"]["submission_id"] for record in anna.submissions(letter.study)]
        assert ids.count(letter.submission_id) == 1
