"""No id, tag, file name or member of an archive leads out of the studies folder: every place that takes one, with every kind."""

import gzip
import io
import uuid
import zipfile
from urllib.parse import quote

import nibabel
import numpy as np
import pytest

from headct_molre.data.phantom import make_phantom, write_study
from server_process import Server

STUDY = "phantom-1"
PATHS = (
    "../x",
    "../../x",
    "..",
    "/etc/passwd",
    "x/../../y",
    "..\\x",
    "C:\\x",
    "..%2fx",
    "%2e%2e%2fx",
    "....//x",
    ".headct",
    ".headct/store",
    "x\x00.nii",
    "x\n",
    "~root",
    "\uff0e\uff0e/x",
    "x" * 300,
)
VOLUME = gzip.compress(nibabel.Nifti1Image(np.zeros((32, 32, 16), np.int16), np.diag([6.0, 6.0, 8.0, 1.0])).to_bytes())
READING = {"findings": {"hydrocephalus": "present"}, "reader": "anna", "model": None}
WHY = {"reason": "tested", "reader": "anna"}


def submission(study):
    return {"submission_id": str(uuid.uuid4()), "study": study, **READING}


def in_the_query(path):
    label = {"label": ("label.json", b"{}")}
    return [
        ("POST", "/infer/demo", {"params": {"image": path}}),
        ("POST", "/infer/demo", {"params": {"session_id": path}}),
        ("GET", "/datastore/image", {"params": {"image": path}}),
        ("PUT", "/datastore/image", {"params": {"image": path}, "files": {"file": ("volume.nii.gz", VOLUME)}}),
        ("PUT", "/datastore/", {"params": {"image": path}, "files": {"file": ("volume.nii.gz", VOLUME)}}),
        ("GET", "/datastore/image/info", {"params": {"image": path}}),
        ("PUT", "/datastore/image/info", {"params": {"image": path}, "data": {"info": '{"a": 1}'}}),
        ("GET", "/datastore/label", {"params": {"label": path, "tag": "final"}}),
        ("GET", "/datastore/label", {"params": {"label": STUDY, "tag": path}}),
        ("PUT", "/datastore/label", {"params": {"image": path}, "files": label}),
        ("PUT", "/datastore/label", {"params": {"image": STUDY, "tag": path}, "files": label}),
        ("DELETE", "/datastore/image", {"params": {"id": path}}),
        ("DELETE", "/datastore/label", {"params": {"id": path, "tag": path}}),
    ]


def in_the_path(path):
    name = quote(path, safe="").replace(".", "%2E")  # the client would resolve dots itself
    return [
        ("POST", f"/infer/{name}", {"params": {"image": STUDY}}),
        ("POST", f"/activelearning/{name}", {"json": {"client_id": "anna"}}),
        ("POST", f"/batch/infer/{name}", {}),
        ("GET", f"/session/{name}", {"params": {"image": True}}),
        ("DELETE", f"/session/{name}", {}),
        ("GET", f"/headct/studies/{name}/submissions", {}),
        ("GET", f"/headct/studies/{name}/label", {}),
        ("GET", f"/headct/studies/{name}/volume", {}),
        ("GET", f"/headct/studies/{name}/history", {}),
        ("PUT", f"/headct/studies/{name}/lease", {"params": {"reader": "anna"}}),
        ("POST", f"/headct/studies/{name}/skip", {"json": WHY}),
        ("POST", f"/headct/studies/{name}/reopen", {"json": WHY}),
        ("DELETE", f"/headct/queue/{name}", {}),
        ("GET", f"/model/{name}", {}),
    ]


def in_the_body(path):
    return [
        ("POST", "/headct/submissions", {"json": submission(path)}),
        ("POST", "/batch/infer/demo", {"params": {"run_sync": True}, "json": {"images": [path]}}),
        ("PUT", "/headct/readers-required", {"json": {"studies": [path], "readers": 1, "reader": "anna"}}),
    ]


def zipped(member):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, VOLUME)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("traversal")


@pytest.fixture(scope="module")
def server(root):
    (root / "outer" / "studies").mkdir(parents=True)
    write_study(make_phantom(3, 96), root / "outer" / "studies" / f"{STUDY}.nii.gz")
    (root / "x").write_bytes(b"not for clients")
    (root / "outer" / "x.nii.gz").write_bytes(VOLUME)
    server = Server(root / "outer" / "studies", root / "log.txt", models="demo")
    server.start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture
def untouched(server, root):
    """What lies outside of the server's own hidden folder is as before when the test is over."""

    def seen():
        files = [path for path in root.rglob("*") if path.is_file() and ".headct" not in path.parts and path.name != "log.txt"]
        return {str(path.relative_to(root)): path.read_bytes() for path in files}

    before = seen()
    yield
    assert seen() == before


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path[:20]))
@pytest.mark.parametrize("place", [in_the_query, in_the_path, in_the_body], ids=lambda place: place.__name__)
def test_a_path_in_place_of_an_id_is_refused(server, untouched, place, path):
    for method, url, request in place(path):
        answer = server.http.request(method, url, **request)
        batch = url == "/batch/infer/demo" and answer.status_code == 200
        if batch:  # a batch names what it could not read
            assert (answer.json()["progress"]["done"], answer.json()["progress"]["refused"]) == (0, 1), answer.text
        else:
            assert 400 <= answer.status_code < 500, (method, url, answer.status_code, answer.text[:300])
        assert b"not for clients" not in answer.content
        assert b"root:" not in answer.content


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path[:20]))
def test_a_member_of_an_archive_stays_inside(server, untouched, path):
    for url, field in (("/session/", "files"), ("/datastore/image?image=zipped", "file")):
        answer = server.http.put(url, files={field: ("series.zip", zipped(path))})
        assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.text[:300])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path[:20]))
def test_the_name_of_an_upload_gives_a_suffix_and_no_place(server, root, path):
    before = {entry for entry in root.rglob("*") if ".headct" not in entry.parts}
    answer = server.http.put("/session/", files={"files": (f"{path}.nii.gz", VOLUME)})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert server.http.delete(f"/session/{answer.json()['session_id']}").status_code == 200
    assert {entry for entry in root.rglob("*") if ".headct" not in entry.parts} == before
