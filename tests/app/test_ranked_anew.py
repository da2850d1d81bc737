"""Promotion and rollback over HTTP: within seconds the default strategy ranks by the version that is served."""

import time

import pytest
import torch

from headct_molre.data.phantom import write_cohort
from headct_molre.models.checkpoint import champion_folder, load_card, write_version
from headct_molre.models.weights import read_tensors
from headct_molre.schema import Prediction
from server_process import Server

MODEL, STUDIES, SOON = "demo", 4, 60


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    write_cohort(tmp_path / "studies", STUDIES, seed=43, matrix=128)
    server = Server(tmp_path / "studies", tmp_path / "log.txt", models=MODEL)
    server.start()
    yield server
    server.stop()
    server.http.close()


def tuned(home):
    """A version with the backbone of the shipped one and another head, as quick fine-tuning makes it."""
    state = read_tensors(champion_folder(MODEL) / "weights.safetensors")
    torch.manual_seed(0)
    state["head.weight"] = state["head.weight"] + 0.05 * torch.randn_like(state["head.weight"])
    card = load_card(MODEL)
    return write_version(home / "models" / MODEL, card.model_copy(update={"version": "tuned", "parent": card.version}), state)


def ranked_by(http):
    """The version by which the default strategy ranks, as its answer says; asked until the answer is no random one."""
    while True:
        answer = http.post("/activelearning/rarity_entropy", json={"client_id": "anna", "another": True}).json()
        if not answer["random"]:
            return answer["why"].rpartition(f"Ranked by {MODEL} ")[2].rstrip(".")


def until_ranked_by(http, version):
    began = time.monotonic()
    while ranked_by(http) != version:
        assert time.monotonic() - began < SOON, ranked_by(http)
        time.sleep(0.1)


def metric(http, name):
    lines = http.get("/headct/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f'{name}{{model="{MODEL}"}}')), 0.0)


def test_the_version_that_is_served_ranks_within_seconds_and_predicts_from_images(server, tmp_path):
    http = server.http
    assert http.post(f"/batch/infer/{MODEL}", params={"run_sync": True}, json={}).status_code == 200
    old = load_card(MODEL).version
    assert ranked_by(http) == old
    first = http.post(f"/infer/{MODEL}", params={"image": "phantom-0001"}).content

    new = tuned(tmp_path / "home")
    asked = {"version": new.version, "reason": "a test", "reader": "anna"}
    assert http.post(f"/headct/models/{MODEL}/promote", json=asked).status_code == 200
    until_ranked_by(http, new.version)
    assert metric(http, "headct_rescored_studies_total") == STUDIES
    assert metric(http, "headct_rescoring_left") == 0
    prediction = Prediction.model_validate_json(http.post(f"/infer/{MODEL}", params={"image": "phantom-0001"}).content)
    assert prediction.model.version == new.version
    assert prediction.timing_ms["model"] > 0, "made from the images, by the network"

    assert http.post(f"/headct/models/{MODEL}/rollback", json={"reason": "a test", "reader": "anna"}).status_code == 200
    until_ranked_by(http, old)
    assert http.post(f"/infer/{MODEL}", params={"image": "phantom-0001"}).content == first
