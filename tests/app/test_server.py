"""The real server in a process of its own, as a user starts it, walked over HTTP."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread

import hostile_dicom
from headct_molre.data.phantom import write_cohort
from headct_molre.data.store import sqlite_url
from headct_molre.findings import finding_keys
from headct_molre.imaging.read import read_study
from headct_molre.models.backbones import backbone_names
from headct_molre.predict import Predictor
from headct_molre.schema import Prediction
from imaging_files import metaimage
from lib.incoming import volume_file
from server_process import Server
from shared_data import shared_ct


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    studies = folder / "studies"
    write_cohort(studies, 2, seed=11)
    write_cohort(folder / "elsewhere", 1, seed=12)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    server = Server(folder / "studies", folder / "log.txt")
    server.start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture(scope="module")
def http(server):
    return server.http


def submission(study, **changes):
    document = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": study, "reader": "anna", "model": None}
    return document | {"findings": {"hydrocephalus": "present"}} | changes


def put_label(http, study, document):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return http.put("/datastore/label", params={"image": study}, files={"label": ("submission.json", body)})


def test_info_lists_models_and_findings(http):
    info = http.get("/info/").json()
    assert info["labels"] == list(finding_keys())
    assert set(info["models"]) == set(backbone_names())
    assert info["models"]["demo"]["labels"] == list(finding_keys())
    assert info["models"]["demo"]["demo"] is True
    assert info["models"]["demo"]["version"]
    assert "random" in info["strategies"]
    assert info["datastore"]["total"] == 2


def test_findings_studies_and_models_are_listed(http):
    assert [finding["key"] for finding in http.get("/headct/findings").json()] == list(finding_keys())
    known = {"format": "nifti", "submissions": 0, "readings": 0, "readers_required": 1, "open": True, "present": True}
    everything = [{"study": study, **known} for study in ("phantom-0001", "phantom-0002")]
    assert http.get("/headct/studies").json() == {"studies": everything, "total": 2, "next": None}
    page = http.get("/headct/studies?limit=1").json()
    assert page == {"studies": everything[:1], "total": 2, "next": "phantom-0001"}
    assert http.get("/headct/studies", params={"after": page["next"], "state": "open"}).json()["studies"] == everything[1:]
    assert http.get("/headct/studies?state=read").json() == {"studies": [], "total": 0, "next": None}
    assert http.get("/headct/studies/phantom-0001").json() == everything[0]
    models = {model["name"]: model for model in http.get("/headct/models").json()}
    assert models["demo"]["available"]
    assert models["demo"]["card"]["demo"] is True


def test_a_study_is_predicted_and_a_repeat_is_answered_from_the_store(http, server):
    first = http.post("/infer/demo", params={"image": "phantom-0001", "output": "json"})
    assert first.status_code == 200, first.text
    prediction = Prediction.model_validate_json(first.content)
    assert prediction.study == "phantom-0001"
    assert prediction.model.demo
    assert prediction.to_json().encode() == first.content
    # With timing_ms, which no second inference has alike.
    assert http.post("/infer/demo", params={"image": "phantom-0001", "output": "json"}).content == first.content
    # A second model will not repeat the imaging.
    assert len(list((server.studies / ".headct" / "prepared").glob("*.prepared"))) == 1


def test_the_ge_scan_gets_the_same_prediction_as_without_a_server(http, server):
    scan = shared_ct("ge_human_tilt")
    shutil.copytree(scan, server.studies / "ge")
    try:
        answer = http.post("/infer/demo", params={"image": "ge", "output": "json"})
        assert answer.status_code == 200, answer.text
        served = Prediction.model_validate_json(answer.content)
    finally:
        shutil.rmtree(server.studies / "ge")
    alone = Predictor("demo", device="cpu").predict(scan, "ge")
    assert served.model_copy(update={"timing_ms": {}}) == alone.model_copy(update={"timing_ms": {}})


@pytest.mark.parametrize(("name", "code"), [("head_mr", "wrong_modality"), ("body_ct", "not_head")])
def test_what_is_not_a_head_ct_is_refused_with_the_reason(http, name, code):
    files = sorted(path for path in shared_ct(name).iterdir() if path.suffix in (".dcm", ".gz"))
    answer = http.put("/session/", files=[("files", (path.name, path.read_bytes())) for path in files])
    if answer.status_code == 200:  # what the reader can read, the gate may still refuse
        answer = http.post("/infer/demo", params={"session_id": answer.json()["session_id"]})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_the_server_answers_while_an_inference_runs(http, server, folder):
    changed = bytearray(gzip.decompress((folder / "elsewhere" / "phantom-0001.nii.gz").read_bytes()))
    changed[-2:] = b"\x00\x00"
    (server.studies / "not-seen-yet.nii.gz").write_bytes(gzip.compress(bytes(changed), 1))
    answers = []

    def infer():
        with httpx.Client(base_url=http.base_url, timeout=120) as own:
            answers.append(own.post("/infer/demo", params={"image": "not-seen-yet"}))

    running = threading.Thread(target=infer)
    running.start()
    asked = 0
    while running.is_alive():
        assert http.get("/info/").status_code == 200
        asked += running.is_alive()
    running.join()
    (server.studies / "not-seen-yet.nii.gz").unlink()
    assert answers[0].status_code == 200, answers[0].text
    assert asked >= 2


def test_a_volume_uploaded_to_a_session_is_predicted(http, folder):
    volume = (folder / "elsewhere" / "phantom-0001.nii.gz").read_bytes()
    session = http.put("/session/", files={"files": ("any name.nii.gz", volume)}).json()["session_id"]
    answer = http.post("/infer/demo", params={"session_id": session, "output": "json"})
    assert answer.status_code == 200, answer.text
    assert Prediction.model_validate_json(answer.content).study == session
    assert http.delete(f"/session/{session}").status_code == 200
    assert http.post("/infer/demo", params={"session_id": session}).json()["code"] == "unknown_session"


def test_a_study_goes_from_upload_to_prediction_to_submission(http, server, folder):
    volume = (folder / "elsewhere" / "phantom-0001.nii.gz").read_bytes()
    try:
        assert http.put("/datastore/image", params={"image": "walked"}, files={"file": ("x.nii.gz", volume)}).json() == {"image": "walked"}
        shown = Prediction.model_validate_json(http.post("/infer/demo", params={"image": "walked"}).content)
        assert shown.study == "walked"
        sent = submission("walked", model={"name": "demo", "version": shown.model.version})
        assert put_label(http, "walked", sent).status_code == 200
        (record,) = http.get("/headct/studies/walked/submissions").json()
        assert record["submission"]["submission_id"] == sent["submission_id"]
        assert record["shown_probabilities"] == {finding.key: finding.probability for finding in shown.findings}
    finally:
        (server.studies / "walked.nii.gz").unlink(missing_ok=True)


def test_a_zipped_series_and_a_metaimage_are_studies_like_any_other(http, server, folder):
    scan = shared_ct("ge_human_tilt")
    zipped = shutil.make_archive(str(folder / "ge"), "zip", scan)
    session = http.put("/session/?uncompress=true", files={"files": ("series.zip", Path(zipped).read_bytes())}).json()["session_id"]
    answer = http.post("/infer/demo", params={"session_id": session, "output": "json"})
    assert answer.status_code == 200, answer.text
    assert Prediction.model_validate_json(answer.content).quality.facts["tilt_degrees"] == pytest.approx(18.5, abs=0.01)

    series = str(dcmread(next(scan.glob("*.dcm")), stop_before_pixels=True).SeriesInstanceUID)
    chosen = http.post("/infer/demo", params={"session_id": session, "series_uid": series})
    assert chosen.json()["findings"] == answer.json()["findings"]
    other = http.post("/infer/demo", params={"session_id": session, "series_uid": "1.2.3"})
    assert (other.status_code, other.json()["code"], other.json()["field"]) == (404, "series_not_found", "series_uid")

    (folder / "x.mha").write_bytes(metaimage(folder / "elsewhere" / "phantom-0001.nii.gz"))
    try:
        assert http.put("/datastore/image", files={"file": ("meta.mha", (folder / "x.mha").read_bytes())}).json() == {"image": "meta"}
        assert http.get("/headct/studies/meta").json()["format"] == "metaimage"
        stored = Prediction.model_validate_json(http.post("/infer/demo", params={"image": "meta"}).content)
    finally:
        (server.studies / "meta.mha").unlink(missing_ok=True)
    alone = Predictor("demo", device="cpu").predict(folder / "elsewhere" / "phantom-0001.nii.gz", "meta")
    expected = [finding.probability for finding in alone.findings]
    assert [finding.probability for finding in stored.findings] == pytest.approx(expected, abs=1e-4)


def test_uploads_are_no_studies_and_leave_nothing_behind(http, server, folder):
    """A reader may call a study "upload"; what was shown for somebody's upload was not shown for it."""
    volume = (folder / "elsewhere" / "phantom-0001.nii.gz").read_bytes()
    answer = http.post("/infer/demo", files={"file": ("x.nii.gz", volume)})
    assert answer.status_code == 200, answer.text
    prediction = Prediction.model_validate_json(answer.content)
    assert prediction.study == "upload"
    assert not any((server.studies / ".headct" / "incoming").iterdir())
    (server.studies / "upload.nii.gz").write_bytes(volume)
    try:
        sent = submission("upload", model={"name": "demo", "version": prediction.model.version})
        assert put_label(http, "upload", sent).status_code == 200
        assert http.get("/headct/studies/upload/submissions").json()[0]["shown_probabilities"] is None
    finally:
        (server.studies / "upload.nii.gz").unlink()


def test_the_images_of_a_study_come_as_one_volume_file_whatever_its_format(http, folder, tmp_path):
    answer = http.get(f"/headct/studies/{KNOWN}/volume")
    assert answer.headers["content-type"] == "application/octet-stream"
    (tmp_path / "study.nrrd").write_bytes(answer.content)
    sent, there = read_study(tmp_path / "study.nrrd"), read_study(folder / "studies" / f"{KNOWN}.nii.gz")
    np.testing.assert_array_equal(sent.hu, there.hu)
    np.testing.assert_allclose(sent.affine, there.affine, atol=1e-6)


def test_a_tilted_dicom_series_comes_as_one_volume_with_its_shear(tmp_path):
    scan = shared_ct("ge_human_tilt")
    (tmp_path / "study.nrrd").write_bytes(volume_file(scan))
    sent, there = read_study(tmp_path / "study.nrrd"), read_study(scan)
    np.testing.assert_array_equal(sent.hu, there.hu)
    np.testing.assert_allclose(sent.affine, there.affine, atol=1e-6)


def test_a_session_is_described_and_sends_its_volume_unless_it_is_a_folder(http, folder, tmp_path):
    volume = (folder / "elsewhere" / "phantom-0001.nii.gz").read_bytes()
    session = http.put("/session/", files={"files": ("x.nii.gz", volume)}).json()
    url = f"/session/{session['session_id']}"
    assert http.get(url).json() == session["session_info"]
    assert http.get(url, params={"image": True}).content == volume
    slices = sorted(hostile_dicom.series(tmp_path).iterdir())
    series = http.put("/session/", files=[("files", (path.name, path.read_bytes())) for path in slices]).json()
    answer = http.get(f"/session/{series['session_id']}", params={"image": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_single_file")


def test_an_upload_that_cannot_be_read_is_refused_and_leaves_nothing(http, server):
    before = sorted(server.studies.rglob("*"))
    for url, field in (("/datastore/image?image=bad", "file"), ("/session/", "files")):
        answer = http.put(url, files={field: ("x.nii.gz", b"no volume")})
        assert (answer.status_code, answer.json()["code"]) == (422, "damaged_file")
    answer = http.put("/session/", files=[("files", (f"{number}.dcm", b"slice")) for number in range(2)])
    assert (answer.status_code, answer.json()["code"]) == (422, "no_images")
    kept = [path for path in sorted(server.studies.rglob("*")) if path not in before and "store.sqlite" not in path.name]
    assert kept == []


def test_an_upload_onto_a_full_disk_is_refused_and_leaves_nothing(tmp_path, folder):
    """The studies folder is a file system of 4 MB; the store and the temporary files of the web server lie elsewhere."""
    studies = tmp_path / "small"
    studies.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(studies)], capture_output=True).returncode:
        pytest.skip("this machine does not let the test mount a small file system")
    server = Server(studies, tmp_path / "log.txt", store=sqlite_url(tmp_path / "store.sqlite"), free_disk_mb="0")
    try:
        server.start()
        (studies / "filler").write_bytes(bytes(2_000_000))
        big = folder / "big.nii"
        nib.save(nib.Nifti1Image(np.zeros((128, 128, 80), np.int16), np.eye(4)), big)
        for url, field in (("/datastore/image?image=x", "file"), ("/session/", "files")):
            answer = server.http.put(url, files={field: ("x.nii", big.read_bytes())})
            assert (answer.status_code, answer.json()["code"]) == (507, "disk_full"), answer.text
        assert not list(studies.glob("x*"))
        assert not list(studies.glob(".headct/incoming/*"))
        (studies / "filler").unlink()
        assert server.http.put("/datastore/image?image=x", files={"file": ("x.nii", big.read_bytes())}).status_code == 200
    finally:
        server.stop()
        server.http.close()
        subprocess.run(["umount", str(studies)], check=True)


def test_the_server_says_what_it_is(http):
    about = http.get("/").json()
    assert about["name"] == "Head CT MoLRE"
    assert "not a medical device" in about["note"]
    for route in about["routes"]:
        assert http.get(route).status_code == 200, route


def test_the_next_study_is_one_that_nobody_has_read(http):
    for _ in range(3):  # within one second, where MONAI Label's own strategy fails
        answer = http.post("/activelearning/random", json={"client_id": "test"}).json()
        assert answer["id"] in {"phantom-0001", "phantom-0002"}
        assert Path(answer["path"]).is_file()


def test_a_submission_survives_kill_9_and_a_retry_is_stored_once(server, http):
    version = http.get("/info/").json()["models"]["demo"]["version"]
    shown = Prediction.model_validate_json(http.post("/infer/demo", params={"image": "phantom-0002"}).content)
    sent = submission("phantom-0002", model={"name": "demo", "version": version})
    receipt = put_label(http, "phantom-0002", sent).json()
    assert receipt["submission_id"] == sent["submission_id"]
    assert receipt["study"] == "phantom-0002"
    server.stop(signal.SIGKILL)
    server.start()
    assert put_label(http, "phantom-0002", sent).json() == receipt
    assert http.post("/headct/submissions", json=sent).json()["received_at"] == receipt["received_at"]
    (record,) = http.get("/headct/studies/phantom-0002/submissions").json()
    assert {key: record["submission"][key] for key in sent} == sent
    assert record["shown_probabilities"] == {finding.key: finding.probability for finding in shown.findings}
    assert http.get("/headct/studies/phantom-0002/label").json()["findings"] == {"hydrocephalus": "present"}
    assert http.get("/datastore/label", params={"label": "phantom-0002", "tag": "final"}).json()["findings"] == {"hydrocephalus": "present"}
    assert http.get("/datastore/").json()["completed"] == 1
    assert http.post("/activelearning/random", json={"client_id": "test"}).json()["id"] == "phantom-0001"


KNOWN = "phantom-0001"
REFUSALS = [
    ("POST", "/infer/demo?image=unknown", {}, 404, "unknown_study"),
    ("POST", "/infer/demo?image=../phantom-0001", {}, 422, "invalid_study"),
    ("POST", "/infer/demo?image=%2Fetc%2Fpasswd", {}, 422, "invalid_study"),
    ("POST", "/infer/demo", {}, 422, "ambiguous_study"),
    ("POST", "/infer/demo?session_id=../../x", {}, 404, "unknown_session"),
    ("POST", f"/infer/unknown?image={KNOWN}", {}, 404, "unknown_model"),
    ("POST", f"/infer/demo?image={KNOWN}&output=image", {}, 422, "unsupported_output"),
    ("POST", f"/infer/demo?image={KNOWN}", {"data": {"params": "{"}}, 422, "invalid_json"),
    ("POST", f"/infer/demo?image={KNOWN}", {"data": {"params": '{"image": "/etc/passwd"}'}}, 422, "reserved_parameter"),
    ("POST", "/infer/demo", {"files": {"file": ("x.exe", b"MZ")}}, 422, "unsupported_format"),
    ("POST", "/infer/demo", {"files": {"file": ("x.nii.gz", b"no volume")}}, 422, None),
    ("POST", "/infer/wsi_v2/demo?image=/etc/passwd", {}, 403, "disabled"),
    ("POST", "/batch/infer/unknown", {}, 404, "unknown_model"),
    ("POST", "/batch/infer/demo?images=some", {}, 422, "invalid_request"),
    ("POST", "/batch/infer/demo", {"json": {"misspelt": 1}}, 422, "invalid_request"),
    ("GET", "/batch/infer/?check_if_running=true", {}, 404, "unknown_task"),
    ("GET", "/headct/jobs/unknown", {}, 404, "unknown_job"),
    ("GET", "/headct/jobs?limit=0", {}, 422, "invalid_request"),
    ("DELETE", "/headct/jobs/unknown", {}, 404, "unknown_job"),
    ("DELETE", "/headct/queue/unknown", {}, 404, "unknown_request"),
    ("POST", "/train/demo", {}, 409, "too_few_corrections"),
    ("POST", "/train/demo", {"json": {"epochs": 0}}, 422, "invalid_request"),
    ("POST", "/train/demo", {"json": {"speed": 9}}, 422, "invalid_request"),
    ("POST", "/train/unknown", {}, 404, "unknown_model"),
    ("POST", "/scoring/dice", {}, 403, "disabled"),
    ("POST", "/activelearning/unknown", {}, 404, "unknown_strategy"),
    ("POST", "/activelearning/random", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "invalid_json"),
    ("PUT", f"/datastore/label?image={KNOWN}", {"files": {"label": ("x.json", b"{")}}, 422, "invalid_json"),
    ("PUT", f"/datastore/label?image={KNOWN}&tag=../../x", {"files": {"label": ("x.json", b"{}")}}, 422, "unsupported_tag"),
    ("PUT", f"/datastore/label?image={KNOWN}", {}, 422, "invalid_request"),
    ("POST", "/headct/submissions", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "invalid_json"),
    ("PUT", "/datastore/image?image=../x", {"files": {"file": ("x.nii.gz", b"")}}, 422, "invalid_study"),
    ("PUT", f"/datastore/image?image={KNOWN}", {"files": {"file": ("x.nii.gz", b"")}}, 409, "study_exists"),
    ("PUT", f"/datastore/image/info?image={KNOWN}", {"data": {"info": "{"}}, 422, "invalid_json"),
    ("PUT", f"/datastore/image/info?image={KNOWN}", {"data": {"info": '{"x": NaN}'}}, 422, "invalid_info"),
    ("PUT", f"/datastore/image/info?image={KNOWN}", {"data": {"info": "[]"}}, 422, "invalid_json"),
    ("PUT", f"/datastore/image/info?image={KNOWN}", {"data": {"info": "5"}}, 422, "invalid_json"),
    ("PUT", f"/datastore/label/info?label={KNOWN}&tag=final", {"data": {"info": "[]"}}, 403, "disabled"),
    ("PUT", f"/datastore/updatelabelinfo?label={KNOWN}&tag=final", {"data": {"params": "5"}}, 403, "disabled"),
    ("PUT", "/datastore/?image=x", {"files": {"file": ("x.nii.gz", b"")}, "data": {"params": "[]"}}, 422, "invalid_json"),
    ("PUT", "/datastore/?image=../x", {"files": {"file": ("x.nii.gz", b"")}}, 422, "invalid_study"),
    ("GET", "/headct/studies?state=unknown", {}, 422, "invalid_request"),
    ("GET", "/headct/studies?limit=0", {}, 422, "invalid_request"),
    ("GET", "/headct/studies?after=%00", {}, 422, "invalid_request"),
    ("GET", "/headct/studies/unknown", {}, 404, "unknown_study"),
    ("GET", f"/datastore/label?label={KNOWN}&tag=../x", {}, 422, "unsupported_tag"),
    ("GET", "/datastore/label?label=../x&tag=final", {}, 422, "invalid_study"),
    ("DELETE", f"/datastore/image?id={KNOWN}", {}, 405, "not_supported"),
    ("GET", "/datastore/image?image=../log.txt", {}, 422, "invalid_study"),
    ("GET", "/datastore/dataset", {}, 405, "not_supported"),
    ("GET", "/headct/studies/unknown/submissions", {}, 404, "unknown_study"),
    ("GET", "/headct/studies/unknown/volume", {}, 404, "unknown_study"),
    ("GET", f"/headct/studies/{KNOWN}/volume?series_uid=1.2", {}, 422, "series_uid_not_applicable"),
    ("PUT", "/session/?uncompress=true", {"files": {"files": ("x.nii.gz", b"")}}, 422, "unsupported_archive"),
    ("PUT", "/datastore/image?image=x", {"files": {"file": ("x.mhd", b"")}}, 422, "unsupported_format"),
    ("GET", "/session/%2e%2e", {}, 404, "unknown_session"),
    ("GET", f"/session/{uuid.UUID(int=0)}?image=true", {}, 404, "unknown_session"),
    ("PUT", "/model/demo", {"files": {"file": ("x.pt", b"")}}, 403, "disabled"),
    ("DELETE", "/model/demo", {}, 403, "disabled"),
    ("GET", "/proxy/dicom/wado/x", {}, 403, "disabled"),
    ("POST", "/reload", {}, 403, "disabled"),
    ("GET", "/logs/", {}, 403, "disabled"),
    ("GET", "/info/", {"headers": {"host": "rebound.example"}}, 403, "unknown_host"),
    ("GET", "/docs", {}, 403, "disabled"),
    ("GET", "/redoc", {}, 404, "not_found"),
    ("GET", "/headct/docs", {}, 404, "not_found"),
    ("GET", "/unknown", {}, 404, "not_found"),
    ("PATCH", "/info/", {}, 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "url", "body", "status", "code"), REFUSALS, ids=lambda value: value if isinstance(value, str) else "")
def test_bad_requests_are_refused_with_a_code_and_a_sentence(http, method, url, body, status, code):
    answer = http.request(method, url, **body)
    assert answer.status_code == status, answer.text
    assert {"code", "message", "request_id"} <= set(answer.json()) <= {"code", "message", "field", "request_id"}
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert code is None or answer.json()["code"] == code
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"findings": {"hydrocefalus": "present"}}, "findings"),
        ({"findings": {}}, "findings"),
        ({"findings": {"hydrocephalus": "maybe"}}, "findings.hydrocephalus"),
        ({"submission_id": "1"}, "submission_id"),
        ({"reader": ""}, "reader"),
        ({"seconds_spent": -1}, "seconds_spent"),
        ({"misspelt": 1}, "misspelt"),
        ({"study": "phantom-0002"}, "study"),
    ],
)
def test_a_malformed_submission_is_refused_by_the_name_of_its_field(http, changes, field):
    before = http.get("/headct/studies").json()
    answer = put_label(http, KNOWN, submission(KNOWN) | changes)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    assert http.get("/headct/studies").json() == before


def test_a_submission_id_is_used_once(http):
    sent = submission("phantom-0002")
    assert put_label(http, "phantom-0002", sent).status_code == 200
    answer = put_label(http, "phantom-0002", sent | {"reader": "ben"})
    assert (answer.status_code, answer.json()["code"]) == (409, "submission_conflict")


def test_other_web_sites_get_no_access(http):
    assert "access-control-allow-origin" not in http.get("/info/", headers={"origin": "https://elsewhere.example"}).headers


def test_the_log_names_no_study(server, http, folder):
    """After an inference on images that no other test has; whatever else was asked before is in the log too."""
    scan = bytearray(gzip.decompress((folder / "elsewhere" / "phantom-0001.nii.gz").read_bytes()))
    scan[-4:] = bytes(4)
    (server.studies / "not-logged.nii.gz").write_bytes(gzip.compress(bytes(scan), 1))
    assert http.post("/infer/demo", params={"image": "not-logged"}).status_code == 200
    (server.studies / "not-logged.nii.gz").unlink()
    assert " by demo " in server.log.read_text()
    assert "not-logged" not in server.log.read_text()
    assert "Traceback" not in server.log.read_text()
    assert "phantom-0001" not in server.log.read_text()


@pytest.mark.parametrize("arguments", [["--host", "0.0.0.0"], ["--host", "127.0.0.2"], ["--models", "unknown"], ["--port", "0"]])
def test_the_command_refuses_what_it_cannot_serve(tmp_path, arguments):
    command = [sys.executable, "-m", "headct_molre.cli", "serve", "--studies", str(tmp_path / "s"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": ""})
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
