"""The client against the real server: studies, predictions, uploads, submissions."""

import itertools
import re
import threading
import time
import uuid
from contextlib import suppress

import numpy as np
import pytest

from headct_molre.data.phantom import write_cohort
from headct_molre.server.request_id import request_id_from
from HeadCTFindingsLib.app.volume_file import from_nrrd
from HeadCTFindingsLib.core.calls import PRESENT, UNCERTAIN, Calls
from HeadCTFindingsLib.core.catalogue import Catalogue
from HeadCTFindingsLib.core.client import Client, new_request_id, suffix_of
from HeadCTFindingsLib.core.errors import Cancelled, ServerError, sentence
from HeadCTFindingsLib.core.history import by_reader, latest_of, readings
from HeadCTFindingsLib.core.outbox import Outbox
from HeadCTFindingsLib.core.prediction import PredictionView
from HeadCTFindingsLib.core.rows import groups
from HeadCTFindingsLib.core.submission import submission
from HeadCTFindingsLib.core.transport import Transfer
from HeadCTFindingsLib.core.worker import INFER, TRANSFER, Worker

STUDY = "phantom-0001"
WAIT_S = 60.0


class Halfway:
    """A ticket whose person cancels after some reports of progress."""

    def __init__(self, after):
        self.after, self.reports, self.closers = after, [], []

    def check(self):
        if len(self.reports) >= self.after:
            raise Cancelled("halfway")

    def report(self, value):
        self.reports.append(value)

    def on_cancel(self, close):
        self.closers.append(close)
        return lambda: self.closers.remove(close)


def poll_until(worker, condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        worker.poll()
        time.sleep(0.005)


@pytest.fixture(scope="module")
def shown(anna):
    return PredictionView.from_json(anna.infer("demo", study=STUDY))


def test_the_taxonomy_fits_the_table(anna, shown):
    catalogue = Catalogue.from_json(anna.findings())
    rows = [row for group in groups(catalogue, shown) for row in group.rows]
    assert len(rows) == 75
    assert any(row.probability is not None for row in rows)
    assert any(row.probability is None for row in rows)  # the demo version was not tested on everything


def test_a_real_prediction_is_one_as_the_module_reads_it(shown):
    assert (shown.study, shown.model, shown.demo, shown.router_level) == (STUDY, "demo", True, "slice")
    np.testing.assert_allclose(shown.evidence.sum(1) + shown.bias, shown.logit, atol=1e-6)
    np.testing.assert_allclose(shown.router.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(shown.attention.sum(), 1, atol=1e-6)


def test_the_frame_of_a_real_scan_leads_from_planes_to_slices_and_back(shown):
    for index in range(shown.slices):
        np.testing.assert_allclose(shown.frame.centre(index), shown.centres[index], atol=1e-6)
        assert shown.frame.index_of_view(shown.frame.slice_to_ras(index)) == index


@pytest.fixture
def unread(anna, studies):
    """A study of the server that nobody has read yet, for one test."""
    return anna.upload_study(f"unread-{uuid.uuid4().hex}", studies / "phantom-0002.nii.gz")


def test_models_studies_and_next_study(anna, unread):
    assert anna.models()[0]["name"] == "demo"
    assert "random" in anna.info()["strategies"]
    page = anna.studies(limit=1)
    assert (page["total"] >= 2, len(page["studies"])) == (True, 1)
    offered = anna.next_study("first", "anna")
    assert offered["why"]
    assert anna.next_study("first", "anna")["id"] == offered["id"]
    assert anna.release(offered["id"], "anna")
    assert not anna.release(offered["id"], "anna")
    assert anna.lease(STUDY, "anna")["others"] == []
    assert anna.study(STUDY)["present"]


def test_a_reader_without_a_study_left_is_told_so(address, token_of, unread):
    carla = Client(address, token_of("carla"))
    while (offered := carla.next_study("first", "carla")) is not None:
        carla.skip(offered["id"], "a test", "carla")
    assert {each["state"] for each in carla.readings("carla")} == {"skipped"}


def test_a_refusal_says_what_where_and_under_which_id(anna):
    with pytest.raises(ServerError) as refused:
        anna.study("no-such-study")
    assert (refused.value.code, refused.value.status, refused.value.field) == ("unknown_study", 404, "study")
    assert not refused.value.passing
    assert request_id_from(refused.value.request_id) == refused.value.request_id
    assert sentence(refused.value).endswith("(study)")


@pytest.mark.parametrize("name", ["../../info", "a b", "ä", "a%2Fb"])
def test_a_strange_id_stays_one_part_of_the_path(anna, name):
    with pytest.raises(ServerError) as refused:
        anna.study(name)
    assert refused.value.status in (404, 422)


def test_request_ids_have_the_form_that_the_server_takes():
    identity = new_request_id()
    assert request_id_from(identity) == identity


def test_an_inference_that_is_cancelled_leaves_the_servers_queue(anna, tmp_path):
    (fresh,) = write_cohort(tmp_path, 1, seed=22, matrix=128)  # a prediction that is stored already would not wait in the queue
    anna.upload_study("to-be-cancelled", fresh)
    worker, got = Worker(), []
    ticket = worker.submit(lambda ticket: anna.infer("demo", "to-be-cancelled", ticket=ticket), got.append, got.append, lane=INFER)
    deadline = time.monotonic() + WAIT_S
    while not any(device["running"] for device in anna.queue()):
        assert time.monotonic() < deadline
    started = time.monotonic()
    ticket.cancel()
    while any(device["running"] or device["waiting"] for device in anna.queue()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert worker.stop(5.0)
    assert time.monotonic() - started < 30
    worker.poll()
    assert got == []


def test_a_heat_map_comes_as_a_whole_file_with_what_has_to_be_said_of_it(anna, studies, tmp_path):
    """By a reader's token, on the grid of the study's volume."""
    probabilities = PredictionView.from_json(anna.infer("demo", STUDY))
    for key in [probabilities.keys[row] for row in np.argsort(-np.nan_to_num(probabilities.probability)) if probabilities.estimable[row]]:
        with suppress(ServerError):  # a healthy phantom has findings for which no slice speaks
            file = anna.heat_map(STUDY, key, "demo", tmp_path / "map.nrrd")
            break
    volume = from_nrrd(file.read_bytes())
    scan = from_nrrd(anna.http.download(f"/headct/studies/{STUDY}/volume", {}, tmp_path / "scan.nrrd").read_bytes())
    assert volume.remarks[0].startswith("Where demo ")
    assert (volume.voxels.shape, volume.voxels.max(), scan.remarks) == (scan.voxels.shape, 1, ())
    np.testing.assert_array_equal(volume.ijk_to_ras, scan.ijk_to_ras)
    with pytest.raises(ServerError) as refused:
        anna.heat_map(STUDY, "nothing", "demo", tmp_path / "nothing.nrrd")
    assert (refused.value.status, refused.value.code, refused.value.field) == (404, "unknown_finding", "finding")
    assert not list(tmp_path.glob("nothing*"))


def test_an_inference_can_be_taken_back_by_its_id(anna, tmp_path):
    (fresh,) = write_cohort(tmp_path, 1, seed=23, matrix=128)
    anna.upload_study("to-be-taken-back", fresh)
    identity, outcome = new_request_id(), []

    def ask():
        try:
            outcome.append(anna.infer("demo", "to-be-taken-back", request_id=identity))
        except ServerError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + WAIT_S
    cancelled = 0
    while not cancelled and thread.is_alive():
        assert time.monotonic() < deadline
        with suppress(ServerError):  # it has not come to the queue yet
            cancelled = anna.cancel_inference(identity)
    thread.join()
    assert cancelled == 1
    assert outcome[0].code == "cancelled"


def test_a_volume_goes_up_with_progress_and_comes_back_whole(anna, studies, tmp_path):
    worker, heard, got = Worker(), [], []
    file = studies / "phantom-0002.nii.gz"
    worker.submit(lambda ticket: anna.upload_study("uploaded", file, ticket), got.append, got.append, heard.append, lane=TRANSFER)
    poll_until(worker, lambda: got)
    assert got == ["uploaded"]
    assert heard[-1] == Transfer(file.stat().st_size, file.stat().st_size)
    assert heard[-1].share == 1.0
    back = tmp_path / "back.nii.gz"
    worker.submit(lambda ticket: anna.download_study("uploaded", back, ticket), got.append, got.append, heard.append)
    poll_until(worker, lambda: len(got) == 2)
    worker.stop()
    assert back.read_bytes() == file.read_bytes()
    with pytest.raises(ServerError) as refused:
        anna.upload_study("uploaded", file)
    assert refused.value.code == "study_exists"


def test_the_name_of_a_file_stays_on_this_computer(anna, studies, tmp_path, server):
    named = tmp_path / "DOE^JANE 1970.nii.gz"
    named.write_bytes((studies / "phantom-0001.nii.gz").read_bytes())
    session = anna.create_session(named, expiry_s=600)
    assert "DOE" not in str(anna.http.json("GET", f"/session/{session}"))
    assert "DOE" not in server.log.read_text()
    assert PredictionView.from_json(anna.infer("demo", session=session)).study == session
    anna.end_session(session)
    with pytest.raises(ServerError):
        anna.infer("demo", session=session)


def test_an_upload_that_is_cancelled_leaves_no_study(anna, tmp_path):
    big = tmp_path / "big.nii"
    big.write_bytes(bytes(8_000_000))
    ticket = Halfway(2)
    with pytest.raises(Cancelled):
        anna.upload_study("half", big, ticket)
    assert 0 < ticket.reports[-1].share < 1
    assert ticket.closers == []
    with pytest.raises(ServerError, match="no study"):
        anna.study("half")


def test_a_download_that_is_cancelled_leaves_no_file(anna, tmp_path):
    with pytest.raises(Cancelled):
        anna.download_study(STUDY, tmp_path / "half.nii.gz", Halfway(1))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_volume_is_refused_with_the_servers_reason(anna, tmp_path):
    file = tmp_path / "letter.nii"
    file.write_bytes(b"Dear colleague")
    with pytest.raises(ServerError) as refused:
        anna.upload_study("letter", file)
    assert refused.value.message
    assert not refused.value.passing
    with pytest.raises(ValueError, match=re.escape(".nii.gz")):
        suffix_of(tmp_path / "letter.docx")
    with pytest.raises(FileNotFoundError):
        anna.upload_study("nothing", tmp_path / "nothing.nii")


def test_an_upload_that_the_server_cuts_short_is_heard(anna, tmp_path):
    huge = tmp_path / "huge.nii"
    with huge.open("wb") as file:
        file.truncate(2_100_000_000)  # more than the server takes; a sparse file, which is not sent as a whole
    with pytest.raises(Exception, match=r"limited|whole answer") as refused:
        anna.upload_study("huge", huge)
    assert getattr(refused.value, "status", 413) == 413


def calls_of(anna, **states):
    calls = Calls([entry["key"] for entry in anna.findings()])
    for key, state in states.items():
        calls.set(key, state)
    return calls


def test_a_submission_is_stored_once_however_often_it_is_sent(anna, unread):
    shown = PredictionView.from_json(anna.infer("demo", unread))
    document = submission(calls_of(anna, midline_shift=PRESENT, sinusitis=UNCERTAIN), unread, "anna", shown, 12.34)
    receipts = [anna.submit(document) for _ in range(3)]
    assert receipts[0] == receipts[1] == receipts[2]
    records = anna.submissions(unread)
    assert len(records) == 1
    assert records[0]["shown_probabilities"]["midline_shift"] == pytest.approx(shown.probability[shown.index("midline_shift")])
    assert anna.label(unread) == {"midline_shift": PRESENT, "sinusitis": UNCERTAIN}
    with pytest.raises(ServerError) as refused:
        anna.submit({**document, "comment": "another"})
    assert refused.value.code == "submission_conflict"


def test_what_the_server_refuses_for_good_is_kept_aside(anna, address, tmp_path):
    outbox = Outbox(tmp_path)
    for study, reader in (("no-such-study", "anna"), (STUDY, "somebody else"), (STUDY, "anna")):
        outbox.put(address, submission(calls_of(anna, hydrocephalus=PRESENT), study, reader))
    sent = outbox.flush(address, anna.submit)
    assert (len(sent.stored), len(sent.refused), outbox.count) == (1, 2, 0)
    assert all(letter.refused for letter in outbox.refused())


def test_a_second_reader_is_not_biased_before_the_own_reading(anna, address, token_of, catalogue, unread):
    bob = Client(address, token_of("bob"))
    anna.submit(submission(calls_of(anna, midline_shift=PRESENT), unread, "anna"))
    (theirs,) = readings(bob.submissions(unread), "bob")
    assert (theirs.hidden, theirs.findings) == (True, {})
    assert "after you have submitted" in theirs.text(catalogue)
    bob.submit(submission(calls_of(anna, midline_shift=UNCERTAIN, sinusitis="absent"), unread, "bob"))
    found = readings(bob.submissions(unread), "bob")
    assert list(by_reader(found)) == ["bob", "anna"]
    assert latest_of(found, "bob").findings == {"midline_shift": UNCERTAIN, "sinusitis": "absent"}
    assert "Midline shift (uncertain); 1 reviewed absent" in found[0].text(catalogue)
    assert not found[1].hidden


def test_ids_of_submissions_are_uuids(anna):
    ids = {submission(calls_of(anna, midline_shift=PRESENT), STUDY, "anna")["submission_id"] for _ in range(3)}
    assert len({uuid.UUID(each) for each in ids}) == 3


def test_many_threads_share_one_client(anna):
    worker, got = Worker(), []
    for number in itertools.islice(itertools.count(), 12):
        worker.submit(lambda ticket: anna.study(STUDY, ticket)["study"], got.append, lane=f"lane {number % 4}")
    poll_until(worker, lambda: len(got) == 12)
    worker.stop()
    assert set(got) == {STUDY}
