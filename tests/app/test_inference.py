"""The queue, the prediction cache, batch jobs and the stop, over HTTP with a real server and small networks."""

import gzip
import signal
import socket
import threading
import time
import uuid
from contextlib import suppress

import httpx
import psutil
import pytest

from headct_molre.data.phantom import write_cohort
from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.imaging.content import content_sha256
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import read_card
from server_process import Server
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone, install_version

MODEL = "dinov3_base"
LONG = 240  # seconds after which a test gives up, on a machine that has other things to do
WAITING = 2


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "studies"
    write_cohort(folder, 1, seed=5, matrix=128)
    return folder


@pytest.fixture(scope="module")
def server(home, studies):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADCT_MOLRE_HOME", str(home))
        patch.setenv("HEADCT_MOLRE_SERVER_WAITING_INFERENCES", str(WAITING))
        use_small_backbones(patch.setattr)
        install_backbone(home, small_backbones()[MODEL])
        install_version(home, backbone_spec(MODEL))
        server = Server(studies, studies.parent / "log.txt", small=True)
        server.start()
        yield server
        if server.process.poll() is None:
            server.stop()
        server.http.close()


@pytest.fixture
def http(server):
    return server.http


@pytest.fixture
def new_study(studies, http):
    """Makes studies that nobody has seen: the first phantom with another last voxel. Afterwards the server knows that they are gone."""
    phantom = bytearray(gzip.decompress((studies / "phantom-0001.nii.gz").read_bytes()))
    made = []

    def make(name):
        phantom[-2:] = (hash(name) % 500).to_bytes(2, "little")
        made.append(studies / f"{name}.nii.gz")
        made[-1].write_bytes(gzip.compress(bytes(phantom), 1))
        return name

    yield make
    for path in made:
        path.unlink(missing_ok=True)
    with suppress(httpx.TransportError):  # a test that stopped the server
        http.post("/headct/studies/scan", params={"accept_missing": True}).raise_for_status()


def an_id(name):
    """A request's id is a UUID: one that could name a patient would be replaced."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


class Asking(threading.Thread):
    """A client that asks for one study and waits."""

    def __init__(self, server, study, name):
        super().__init__(daemon=True, name=name)
        self.url, self.study = str(server.http.base_url), study
        self.answer = None
        self.start()

    def run(self):
        with httpx.Client(base_url=self.url, timeout=LONG) as http:
            headers = {"X-Request-ID": an_id(self.name)}
            self.answer = http.post(f"/infer/{MODEL}", params={"image": self.study}, headers=headers)

    def result(self):
        self.join(LONG)
        assert self.answer is not None
        return self.answer


def until(condition, seconds=LONG):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := condition()) is not None and found is not False:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def queue(http):
    (status,) = http.get("/headct/queue").json()
    return status


def runs(http, name):
    return any(entry["request_id"] == an_id(name) for entry in queue(http)["running"])


def position(http, name):
    return next((entry["position"] for entry in queue(http)["waiting"] if entry["request_id"] == an_id(name)), None)


def test_a_request_is_found_by_its_id_and_a_full_queue_says_when_to_come_back(server, http, new_study):
    first = Asking(server, new_study("first"), "request-first")
    until(lambda: runs(http, "request-first"))
    study = new_study("shared")
    shared = [Asking(server, study, f"request-shared-{number}") for number in range(2)]
    assert [until(lambda each=each: position(http, each.name)) for each in shared] == [1, 1]
    last = Asking(server, new_study("last"), "request-last")
    assert until(lambda: position(http, "request-last")) == 2
    assert "shared" not in str([{**entry, "request_id": ""} for entry in queue(http)["waiting"]])
    refused = Asking(server, new_study("refused"), "request-refused").result()
    assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
    assert 1 <= int(refused.headers["retry-after"]) <= 600
    answer = http.delete(f"/headct/queue/{an_id('request-last')}").json()
    assert answer == {"request_id": an_id("request-last"), "cancelled": 1}
    assert (last.result().status_code, last.answer.json()["code"]) == (409, "cancelled")
    assert [each.result().status_code for each in (first, *shared)] == [200] * 3
    assert shared[0].answer.content == shared[1].answer.content
    assert queue(http)["expected_wait_s"] == 0


def test_a_client_that_hangs_up_leaves_the_queue(server, http, new_study):
    first = Asking(server, new_study("holds"), "request-holds")
    until(lambda: runs(http, "request-holds"))
    study = new_study("hangs-up")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        lines = [f"POST /infer/{MODEL}?image={study} HTTP/1.1", "Host: 127.0.0.1", f"X-Request-ID: {an_id('request-hangs-up')}"]
        head = "\r\n".join([*lines, "Content-Length: 0", "", ""])
        connection.sendall(head.encode())
        assert until(lambda: position(http, "request-hangs-up")) == 1
    until(lambda: position(http, "request-hangs-up") is None and not runs(http, "request-hangs-up"), 10)
    assert runs(http, "request-holds")  # it left before its turn came
    assert first.result().status_code == 200


def test_a_new_champion_serves_the_next_request_and_the_old_prediction_stays(home, studies, http):
    def version():
        answer = http.post(f"/infer/{MODEL}", params={"image": "phantom-0001"})
        assert answer.status_code == 200, answer.text
        return answer.json()["model"]["version"]

    assert version() == "7"
    install_version(home, backbone_spec(MODEL), "8")
    assert version() == "8"
    store = StudyStore(sqlite_url(studies / ".headct" / "store.sqlite"))
    content = content_sha256(studies / "phantom-0001.nii.gz")
    kept = [store.predictions.get(content, read_card(home / "models" / MODEL / version)) for version in "78"]
    store.close()
    assert [prediction.model.version for prediction in kept] == ["7", "8"]


def test_a_batch_fills_the_store_and_counts_what_it_cannot_read(http, studies, new_study):
    for number in range(2):
        new_study(f"batch-{number}")
    (studies / "damaged.nii.gz").write_bytes(b"no volume")
    http.post("/headct/studies/scan").raise_for_status()  # so new that a pass would leave them to the next
    try:
        done = http.post(f"/batch/infer/{MODEL}", params={"run_sync": True}, json={"device": "cuda", "max_workers": 1}, timeout=LONG).json()
    finally:
        (studies / "damaged.nii.gz").unlink()
    assert done["status"] == "DONE", done
    progress = done["progress"]
    assert (progress["done"], progress["total"], progress["refused"], progress["seconds_left"]) == (3, 4, 1, 0)
    assert sum(progress["refusals"].values()) == 1
    assert http.get("/batch/infer/").json() == done
    assert http.get(f"/headct/jobs/{done['id']}").json()["result"] == progress
    started = time.monotonic()
    assert http.post(f"/infer/{MODEL}", params={"image": "batch-1"}).status_code == 200
    assert time.monotonic() - started < 2  # from the store


def test_one_batch_runs_at_a_time_and_is_cancelled(http, new_study):
    names = [new_study(f"many-{number}") for number in range(4)]
    task = http.post(f"/batch/infer/{MODEL}", json={"images": names, "max_workers": 1}).json()
    second = http.post(f"/batch/infer/{MODEL}")
    assert (second.status_code, second.json()["code"]) == (429, "busy")
    assert http.get("/batch/infer", params={"check_if_running": True}).json()["id"] == task["id"]
    assert http.delete("/batch/infer").json()["status"] == "STOPPED"
    assert http.get(f"/headct/jobs/{task['id']}").json()["state"] == "cancelled"
    assert http.delete("/batch/infer").json() is None
    # The thread is free again.
    assert http.post(f"/batch/infer/{MODEL}", params={"run_sync": True}, json={"images": ["phantom-0001"]}).json()["status"] == "DONE"


def test_a_stop_hands_back_what_waits_and_ends_what_runs(server, http, new_study):
    first = Asking(server, new_study("last-one"), "request-last-one")
    until(lambda: runs(http, "request-last-one"))
    waiting = Asking(server, new_study("too-late"), "request-too-late")
    until(lambda: position(http, "request-too-late"))
    server.process.send_signal(signal.SIGTERM)
    assert waiting.result().json()["code"] == "stopping"
    assert (waiting.answer.status_code, "retry-after" in waiting.answer.headers) == (503, True)
    assert first.result().status_code == 200
    assert server.process.wait(60) == 0
    assert not list((server.studies / ".headct").rglob("*.partial"))
    server.start()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_batch_goes_on_after_its_server_ended(server, http, new_study, how):
    names = [new_study(f"{how.name}-{number}") for number in range(2)]
    task = http.post(f"/batch/infer/{MODEL}", json={"images": names, "max_workers": 1}).json()

    def job():
        return http.get(f"/headct/jobs/{task['id']}").json()

    until(lambda: job()["progress"].get("done"), 3 * LONG)  # at low priority, on a machine that has other things to do
    children = psutil.Process(server.process.pid).children(recursive=True)
    server.process.send_signal(how)
    assert server.process.wait(60) == (0 if how == signal.SIGTERM else -signal.SIGKILL)
    assert children
    psutil.wait_procs(children, 20)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    server.start()
    until(lambda: job()["state"] == "succeeded", 3 * LONG)
    assert job()["progress"]["done"] == 2


@pytest.mark.slow
def test_a_stop_does_not_wait_for_an_inference_longer_than_it_was_told(server, http, new_study, monkeypatch):
    """Last here: it starts the server again with another limit."""
    server.stop()
    monkeypatch.setenv("HEADCT_MOLRE_SERVER_STOP_S", "0.2")
    server.start()
    first = Asking(server, new_study("too-long"), "request-too-long")
    until(lambda: runs(http, "request-too-long"))
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert (first.result().status_code, first.answer.json()["code"]) == (503, "stopping")
    assert server.process.wait(60) == 0
    print(f"stopped in {time.monotonic() - started:.1f} s")
