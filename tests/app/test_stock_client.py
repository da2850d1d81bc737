"""MONAI Label's own Python client, unchanged, against the real server."""

import gzip
import json
import shutil
import uuid

import nibabel
import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient, MONAILabelClientException

from headct_molre.data.phantom import write_cohort
from headct_molre.findings import finding_keys
from headct_molre.schema import Prediction
from server_process import Server

STUDY = "phantom-0001"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock")
    write_cohort(folder / "studies", 2, seed=31)
    server = Server(folder / "studies", folder / "log.txt")
    server.start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture
def client(server, tmp_path):
    return MONAILabelClient(str(server.http.base_url), tmpdir=str(tmp_path), client_id="anna")


@pytest.fixture
def volume(server, tmp_path):
    return shutil.copy(server.studies / f"{STUDY}.nii.gz", tmp_path / "mine.nii.gz")


def predicted(answer):
    """Its `infer` expects an image beside the numbers, and gives an answer without one back as bytes."""
    file, body = answer
    assert file is None
    return Prediction.model_validate_json(body)


def test_info_and_datastore(client):
    assert client.info()["labels"] == list(finding_keys())
    assert client.info()["datastore"]["total"] == 2
    index = client.datastore()
    assert index["objects"][STUDY]["image"]["ext"] == ".nii.gz"
    assert not client.auth_enabled()


def test_next_sample_names_a_study_and_its_path(client, server):
    sample = client.next_sample("random", {})
    assert sample["path"] == str(server.studies / f"{sample['id']}.nii.gz")
    assert sample["strategy"]["random"]["client_id"] == "anna"


def test_infer_by_id_by_file_and_by_session(client, volume):
    by_id = predicted(client.infer("demo", STUDY, {}))
    assert by_id.study == STUDY
    session = client.create_session(str(volume))["session_id"]
    assert client.get_session(session)["name"] == session
    by_session = predicted(client.infer("demo", "", {}, session_id=session))
    assert by_session.findings == by_id.findings
    assert predicted(client.infer("demo", "", {}, file=str(volume))).findings == by_id.findings
    client.remove_session(session)
    with pytest.raises(MONAILabelClientException):
        client.get_session(session)


def test_a_reading_is_saved_as_a_label_and_comes_back_with_the_prediction(client, tmp_path):
    shown = predicted(client.infer("demo", STUDY, {}))
    reading = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": STUDY, "reader": "anna"}
    reading |= {"model": {"name": "demo", "version": shown.model.version}, "findings": {"hydrocephalus": "present"}}
    file = tmp_path / "submission.json"
    file.write_text(json.dumps(reading))
    answer = client.save_label(STUDY, str(file), tag="final", params={"label_info": []})
    assert (answer["label"], answer["submission_id"]) == (STUDY, reading["submission_id"])
    with open(client.download_label(STUDY, "final")) as label:
        assert json.load(label) == {"study": STUDY, "findings": {"hydrocephalus": "present"}}
    with open(client.download_label(STUDY, "original")) as label:
        assert Prediction.model_validate_json(label.read()).findings == shown.findings
    assert client.datastore()["objects"][STUDY]["labels"]["final"]["info"] == {"submissions": 1}
    assert client.info()["datastore"]["completed"] == 1


def test_an_image_is_uploaded_and_downloaded(client, server, volume):
    assert client.upload_image(str(volume), "uploaded") == {"image": "uploaded"}
    answer = server.http.get("/datastore/image", params={"image": "uploaded"})
    with open(volume, "rb") as file:
        assert answer.content == file.read()
    with pytest.raises(MONAILabelClientException) as refused:
        client.upload_image(str(volume), "uploaded")
    assert "study_exists" in refused.value.msg


def test_a_segmentation_is_no_label_here(client, tmp_path):
    mask = tmp_path / "mask.nii.gz"
    mask.write_bytes(gzip.compress(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)).to_bytes()))
    with pytest.raises(MONAILabelClientException) as refused:
        client.save_label(STUDY, str(mask))
    assert "invalid_" in refused.value.msg


def test_training_is_refused_with_the_counts_while_there_is_too_little_to_learn_from(client):
    info = client.info()
    assert info["trainers"]["demo"]["config"]["mode"] == "quick"
    assert info["train_stats"] == {model: {} for model in info["trainers"]}
    assert client.train_status(check_if_running=True) is False
    for model in ("demo", None):  # without a model, all of them
        try:
            answer = str(client.train_start(model, {}))
        except MONAILabelClientException as refused:
            answer = refused.msg
        assert "at least 20 are needed" in answer
    assert client.train_stop() is None
    with pytest.raises(MONAILabelClientException) as refused:
        client.train_status()
    assert "Status: 404" in refused.value.msg


def test_what_this_server_does_not_do_is_refused_and_not_a_failure(client):
    for call in (
        lambda: client.wsi_infer("demo", STUDY),
        lambda: client.next_sample("unknown", {}),
        lambda: client.download_label("phantom-0002", "final"),
        lambda: client.infer("demo", "../x", {}),
    ):
        with pytest.raises(MONAILabelClientException) as refused:
            call()
        assert any(f"Status: {status}" in refused.value.msg for status in (403, 404, 405, 422)), refused.value.msg
