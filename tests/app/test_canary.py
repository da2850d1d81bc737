"""A patient's name in everything that takes text is found neither in the log nor in the answers to others."""

import gzip
import io
import json
import signal
import time
import uuid

import httpx
import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from certificates import self_signed
from headct_molre.data.phantom import make_phantom, write_study
from server_process import Server

CANARY = "canarius"
STUDY = f"{CANARY}-1961"
EVERYBODYS = ("/", "/info/", "/headct/health", "/headct/metrics", "/headct/models", "/headct/findings", "/headct/openapi.json", "/nowhere")


VOLUME = gzip.compress(nibabel.Nifti1Image(np.zeros((32, 32, 16), np.int16), np.diag([6.0, 6.0, 8.0, 1.0])).to_bytes())


def dicom_file():
    """An image whose gate refuses it, with the name in its header."""
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.Modality = f"{CANARY}^JOHN", CANARY, "MR"
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = CTImageStorage, generate_uid(), generate_uid()
    dataset.Rows = dataset.Columns = 2
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation, dataset.PixelData = "MONOCHROME2", bytes(8)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def submission(**changes):
    document = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": STUDY, "reader": CANARY, "model": None}
    return document | {"findings": {"hydrocephalus": "present"}, "comment": CANARY, "client": CANARY} | changes


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp(CANARY)
    (folder / "studies").mkdir()
    write_study(make_phantom(3, 128), folder / "studies" / f"{STUDY}.nii.gz")
    certificate, key = self_signed(folder)
    server = Server(
        folder / "studies", folder / "log.txt", models="demo", tls_certificate=str(certificate), tls_key=str(key), enabled_routes="docs"
    )
    server.start()
    yield server
    server.stop()
    server.http.close()


REQUESTS = [
    ("POST", f"/infer/demo?image={STUDY}", {}, 200),
    ("POST", f"/infer/demo?image={STUDY}&series_uid={CANARY}", {}, None),
    ("POST", f"/infer/{CANARY}?image={STUDY}", {}, 404),
    ("POST", "/infer/demo?image=../" + CANARY, {}, 422),
    ("POST", "/infer/demo", {"files": {"file": (f"{CANARY}.nii.gz", b"nonsense")}}, 422),
    ("POST", "/infer/demo", {"files": {"file": (f"{CANARY}.dcm", dicom_file())}}, 422),
    ("POST", f"/infer/demo?image={STUDY}", {"data": {"params": json.dumps({CANARY: CANARY})}}, 200),
    ("POST", f"/infer/demo?image={STUDY}", {"data": {"params": f'{{"{CANARY}'}}, 422),
    ("POST", "/activelearning/random", {"json": {"client_id": CANARY}}, 200),
    ("POST", f"/activelearning/{CANARY}", {"json": {CANARY: CANARY}}, 404),
    ("PUT", "/datastore/label", {"params": {"image": STUDY}, "files": {"label": (f"{CANARY}.json", json.dumps(submission()))}}, 200),
    ("PUT", "/datastore/label", {"params": {"image": STUDY, "tag": CANARY}, "files": {"label": (CANARY, b"{}")}}, 422),
    ("POST", "/headct/submissions", {"json": submission()}, 200),
    ("POST", "/headct/submissions", {"json": submission(findings={CANARY: "present"})}, 422),
    ("PUT", f"/datastore/image?image={CANARY}-2", {"files": {"file": (f"{CANARY}.nii.gz", b"x")}}, 422),
    ("PUT", f"/datastore/image?image={CANARY}-3", {"files": {"file": (f"{CANARY}.nii.gz", VOLUME)}}, 200),
    ("PUT", "/datastore/image", {"files": {"file": (f"{CANARY}.exe", b"x")}, "data": {"params": f'{{"{CANARY}": 1}}'}}, 422),
    ("PUT", f"/datastore/image/info?image={STUDY}", {"data": {"info": json.dumps({CANARY: CANARY})}}, 200),
    ("GET", f"/datastore/image/info?image={STUDY}", {}, 200),
    ("GET", f"/datastore/image?image={STUDY}", {}, 200),
    ("GET", f"/datastore/label?label={STUDY}&tag=final", {}, None),
    ("GET", f"/datastore/label?label={CANARY}&tag={CANARY}", {}, None),
    ("DELETE", f"/datastore/label?id={STUDY}&tag=final", {}, None),
    ("DELETE", f"/datastore/image?id={STUDY}", {}, None),
    ("PUT", "/session/", {"files": {"files": (f"{CANARY}.dcm", dicom_file())}}, 422),
    ("PUT", "/session/", {"files": {"files": (f"{CANARY}.nii.gz", VOLUME)}}, 200),
    ("GET", f"/session/{CANARY}", {}, 404),
    ("GET", f"/headct/studies/{STUDY}/submissions", {}, 200),
    ("GET", f"/headct/studies/{CANARY}", {}, 404),
    ("POST", f"/train/{CANARY}", {"json": {CANARY: CANARY}}, None),
    ("GET", f"/model/{CANARY}", {}, 404),
    ("GET", f"/{CANARY}?{CANARY}={CANARY}", {}, 404),
    ("GET", f"/proxy/dicom/{CANARY}", {}, 403),
    ("GET", "/info/", {"headers": {"authorization": f"Bearer {CANARY}", "x-request-id": CANARY, "referer": f"https://x/{CANARY}"}}, 200),
    ("GET", "/info/", {"headers": {"host": f"{CANARY}.example"}}, 403),
    ("POST", "/info/", {"headers": {"origin": f"https://{CANARY}.example"}}, 403),
    (CANARY.upper(), "/info/", {}, 405),
]


@pytest.fixture(scope="module")
def asked(server):
    """The answers to all of them; the others may be asked afterwards."""
    return [server.http.request(method, url, **request) for method, url, request, _ in REQUESTS]


def test_every_request_got_as_far_as_it_should(asked):
    for (method, url, _, expected), answer in zip(REQUESTS, asked, strict=True):
        assert answer.status_code < 500, (method, url, answer.text)
        assert expected is None or answer.status_code == expected, (method, url, answer.status_code, answer.text)


@pytest.mark.parametrize("url", EVERYBODYS)
def test_the_answers_to_others_have_no_trace_of_it(server, asked, url):
    answer = server.http.get(url)
    assert CANARY not in answer.text.lower()
    assert CANARY not in str(answer.headers).lower()


def test_the_log_has_no_trace_of_it_and_a_line_for_every_request(server, asked):
    log = server.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    # The folder of this test has the name too, and the line with the address is printed before the log begins.
    assert CANARY not in log.lower()
    ids = {line.get("request_id") for line in lines if line["logger"] == "headct_molre.access"}
    assert {answer.headers["x-request-id"] for answer in asked} <= ids
    assert any(line["message"].startswith("study ") for line in lines)
    assert "Allow Origins" not in log


def test_a_route_that_was_enabled_is_on_and_the_log_says_so(server):
    assert server.http.get("/docs").status_code == 200
    assert '"route": "docs"' in server.log.read_text()


def test_it_speaks_https_only(server):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{server.port}/headct/health", timeout=10)


def test_it_stops_when_it_is_asked_to(server, asked):
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 15  # an idle connection of this client is open; with TLS its end could take 30 s
    assert server.process.returncode in (0, -signal.SIGTERM)
    assert '"message": "stopped"' in server.log.read_text()
    server.start()
