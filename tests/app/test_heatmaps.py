"""Heat maps over HTTP: the served version's, on the inference queue, over the study's own grid."""

import gzip
import threading
import time
import uuid

import httpx
import numpy as np
import pytest

from headct_molre.data.phantom import write_cohort
from headct_molre.explain import explain
from headct_molre.explain.nifti_map import heat_map_file
from headct_molre.imaging.nrrd_output import nrrd_bytes
from headct_molre.imaging.volume import Volume
from headct_molre.predict import Predictor
from server_process import Server

ONE, TWO = "phantom-0003", "phantom-0002"
LONG = 120


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Phantoms, the last with several findings, and one volume that the gate refuses."""
    folder = tmp_path_factory.mktemp("heatmaps") / "studies"
    write_cohort(folder, 3, seed=0, matrix=128)
    noise = np.random.default_rng(1).integers(-1000, 1000, (30, 64, 64)).astype(np.int16)
    (folder / "noise.nrrd").write_bytes(nrrd_bytes(Volume(noise, np.array([[0, 0, 3.0, 0], [0, 3, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1]]))))
    return folder


@pytest.fixture(scope="module")
def server(studies, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADCT_MOLRE_SERVER_WAITING_INFERENCES", "2")
        server = Server(studies, studies.parent / "log.txt", models="demo")
        server.start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture
def http(server):
    return server.http


@pytest.fixture(scope="module")
def prediction(studies):
    """What the library says of the first study, on the CPU as the server does."""
    return Predictor("demo", "cpu").predict(studies / f"{ONE}.nii.gz", ONE)


@pytest.fixture(scope="module")
def likely(prediction):
    """Findings above threshold, the most probable first: what a reader asks about."""
    above = sorted((each for each in prediction.findings if each.positive), key=lambda each: -each.probability)
    return [each.key for each in above]


class Asking(threading.Thread):
    """A client that asks for one map and waits."""

    def __init__(self, server, study, finding):
        super().__init__(daemon=True)
        self.url, self.path, self.finding = str(server.http.base_url), f"/headct/studies/{study}/heatmap", finding
        self.identity, self.answer = str(uuid.uuid4()), None
        self.start()

    def run(self):
        with httpx.Client(base_url=self.url, timeout=LONG) as http:
            self.answer = http.get(self.path, params={"finding": self.finding}, headers={"X-Request-ID": self.identity})

    def result(self):
        self.join(LONG)
        assert self.answer is not None
        return self.answer


def refusal(answer):
    body = answer.json()
    return answer.status_code, body["code"], body.get("field")


def waiting(http):
    return [entry["request_id"] for entry in http.get("/headct/queue").json()[0]["waiting"]]


def until(condition, seconds=LONG):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def test_the_map_is_the_one_of_the_command_line(http, studies, prediction, likely):
    path = studies / f"{ONE}.nii.gz"
    answer = http.get(f"/headct/studies/{ONE}/heatmap", params={"finding": likely[0], "model": "demo"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/gzip"), answer.text
    expected = heat_map_file(explain(path, prediction, likely[0]), path, None, path.with_name("map.nii.gz"))
    assert gzip.decompress(answer.content) == gzip.decompress(expected)
    assert b"not a lesion outline" in gzip.decompress(answer.content)[:2000]


def test_as_nrrd_it_lies_on_the_grid_of_the_studys_volume(http, likely):
    def parts(answer):
        head, _, body = answer.content.partition(b"\n\n")
        lines = head.decode("ascii").splitlines()
        return [line for line in lines if line.startswith("# ")], [line for line in lines if line.startswith("s")], gzip.decompress(body)

    remarks, grid, values = parts(http.get(f"/headct/studies/{ONE}/heatmap", params={"finding": likely[0], "output": "nrrd"}))
    _, expected, _ = parts(http.get(f"/headct/studies/{ONE}/volume"))
    assert grid == expected
    assert np.frombuffer(values, "<f4").max() == 1
    assert remarks[0].startswith("# Where demo 2.0 looked for ")
    assert any("DEMO MODEL" in remark for remark in remarks)


def test_what_cannot_be_answered_is_said_before_any_work(http, likely):
    def ask(study=ONE, **query):
        return refusal(http.get(f"/headct/studies/{study}/heatmap", params=query))

    assert ask(finding="epidural_hematom") == (404, "unknown_finding", "finding")
    assert ask(finding="calvarial_thickening") == (422, "not_estimable", "finding")
    assert ask(finding=likely[0], model="nobody") == (404, "unknown_model", "model")
    assert ask(finding=likely[0], output="png") == (422, "invalid_request", "output")
    assert ask()[:2] == (422, "invalid_request")
    assert ask("nobody", finding=likely[0])[0] == 404
    assert http.get("/headct/queue").json()[0]["running"] == []


def test_a_study_that_the_gate_refuses_has_no_map(http, likely):
    gate = http.post("/infer/demo", params={"image": "noise"})
    answer = http.get("/headct/studies/noise/heatmap", params={"finding": likely[0]})
    assert refusal(answer) == refusal(gate)
    assert answer.status_code == 422


def test_maps_wait_in_the_queue_are_taken_back_and_never_stop_the_server(server, http, prediction):
    """More than the queue takes, at once: the rest is told when to come back, and everything else is answered meanwhile."""
    tested = [each.key for each in prediction.findings if each.estimable]
    first = Asking(server, TWO, tested[0])  # with the prediction, which is not there yet
    until(lambda: http.get("/headct/queue").json()[0]["running"])
    others = [Asking(server, TWO, finding) for finding in tested[1:3]]
    asked = [Asking(server, ONE, finding) for finding in tested[3:10]]
    slowest = 0.0
    taken_back, said = None, {}
    while any(each.is_alive() for each in (first, *others, *asked)):
        started = time.monotonic()
        queued = waiting(http)
        slowest = max(slowest, time.monotonic() - started)
        if taken_back is None:
            taken_back = next((each for each in (*others, *asked) if each.identity in queued), None)
            said = {} if taken_back is None else http.delete(f"/headct/queue/{taken_back.identity}").json()
        time.sleep(0.02)
    answers = [each.result() for each in (first, *others, *asked)]
    full = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["code"] for answer in full} == {"queue_full"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 600 for answer in full)
    assert taken_back is not None
    assert said == {"request_id": taken_back.identity, "cancelled": 1}
    assert refusal(taken_back.answer)[:2] == (409, "cancelled")
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} <= {"no_evidence", "flat_evidence"}
    assert slowest < 1.0
    print(f"{len(full)} of {len(answers)} were told to come back; the slowest other answer took {1000 * slowest:.0f} ms")


def test_a_client_that_hangs_up_leaves_the_queue(server, http, likely, prediction):
    busy = [Asking(server, ONE, key) for key in likely[:2]]
    until(lambda: waiting(http) or all(each.answer is not None for each in busy))
    identity = str(uuid.uuid4())
    with pytest.raises(httpx.ReadTimeout):
        http.get(
            f"/headct/studies/{ONE}/heatmap",
            params={"finding": likely[-1]},
            headers={"X-Request-ID": identity},
            timeout=0.15,
        )
    until(lambda: identity not in waiting(http), 5)
    assert all(each.result().status_code in (200, 422) for each in busy)
    assert identity not in [entry["request_id"] for entry in http.get("/headct/queue").json()[0]["running"]]
