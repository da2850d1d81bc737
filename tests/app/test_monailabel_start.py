"""MONAI Label's own start, as its users know it, serves the same application under the same protection."""

import os
import subprocess
import sys
import time

import httpx
import pytest

from headct_molre.data.phantom import make_phantom, write_study
from headct_molre.serve import find_app
from server_process import START_LIMIT_S, free_port


@pytest.mark.slow
def test_monailabels_own_start_works_and_is_closed_to_other_machines(tmp_path):
    studies, port, app = tmp_path / "studies", free_port(), find_app()
    settings = (app / "logging.json").read_bytes()
    studies.mkdir()
    write_study(make_phantom(3, 128), studies / "one.nii.gz")
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies), "--port", str(port)]
    command += ["--uvicorn_app", "lib.server:app", "--log_config", str(app / "logging.json"), "--verbose", "WARNING"]
    command += ["--conf", "models", "demo"]
    path = os.pathsep.join([str(app / "bootstrap"), str(app), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
            deadline = time.monotonic() + START_LIMIT_S
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    assert http.get("/headct/health").json()["status"] in ("ready", "degraded")
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            assert http.get("/info/").json()["datastore"]["total"] == 1, (tmp_path / "log.txt").read_text()
            assert http.post("/infer/demo?image=one").status_code == 200
            assert (studies / ".headct" / "store.sqlite").is_file()
            assert http.put("/session/", files={"files": ("a.nii.gz", (studies / "one.nii.gz").read_bytes())}).is_success
            assert (studies / ".headct" / "sessions").is_dir()
        # It listens on every address, since nobody told it not to.
        own_address = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
        for address in own_address[:1]:
            refused = httpx.get(f"http://{address}:{port}/headct/studies", headers={"host": "127.0.0.1"}, timeout=30)
            assert (refused.status_code, refused.json()["code"]) == (403, "no_authentication")
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert "one" not in (tmp_path / "log.txt").read_text().split()
    assert (app / "logging.json").read_bytes() == settings  # MONAI Label writes the level into it that it was given
