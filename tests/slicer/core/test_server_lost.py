"""A server that is killed while calls are submitted, and comes back: nothing is lost, nothing is there twice."""

import shutil
import signal

import pytest

from HeadCTFindingsLib.core.calls import PRESENT, Calls
from HeadCTFindingsLib.core.client import Client
from HeadCTFindingsLib.core.connection import check_connection
from HeadCTFindingsLib.core.errors import Unreachable
from HeadCTFindingsLib.core.outbox import Outbox
from HeadCTFindingsLib.core.submission import submission
from server_process import Server


@pytest.fixture
def server(studies, tmp_path):
    """A server without authentication, which the test may kill."""
    own = tmp_path / "studies"
    own.mkdir()
    for number in (1, 2):
        shutil.copy2(studies / "phantom-0001.nii.gz", own / f"study-{number}.nii.gz")
    server = Server(own, tmp_path / "log.txt", models="demo")
    server.start()
    yield server
    server.stop()
    server.http.close()


def reading(study):
    calls = Calls(["midline_shift"])
    calls.set("midline_shift", PRESENT)
    return submission(calls, study, "anna")


def test_calls_outlive_the_server(server, tmp_path):
    client = Client(f"127.0.0.1:{server.port}")
    base, folder = client.address.base, tmp_path / "outbox"
    status = check_connection(client)
    assert (status.auth, status.reader, status.may_train) == (False, "", True)
    assert "no login asked for" in "\n".join(status.lines)

    outbox = Outbox(folder)
    first, second = outbox.put(base, reading("study-1")), outbox.put(base, reading("study-2"))

    def killed_before_it_is_heard(document):
        client.submit(document)
        server.stop(signal.SIGKILL)
        raise client.http.unreachable(ConnectionResetError())  # the answer never arrived

    sent = outbox.flush(base, killed_before_it_is_heard)
    assert (len(sent.stored), len(sent.waiting), outbox.count) == (0, 1, 2)
    outbox.make_due(base)
    outbox.flush(base, client.submit)
    assert "No server listens" in outbox.line
    with pytest.raises(Unreachable):
        check_connection(client)

    server.start()
    outbox = Outbox(folder)  # Slicer was restarted, too
    outbox.make_due(base)
    sent = outbox.flush(base, client.submit)
    assert set(sent.stored) == {first.submission_id, second.submission_id}
    assert outbox.count == 0
    for letter in (first, second):
        records = client.submissions(letter.study)
        assert [record["submission"]["submission_id"] for record in records] == [letter.submission_id]
