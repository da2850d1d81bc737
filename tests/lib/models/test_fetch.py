"""`models --fetch` against a hub on this machine that speaks the hub's protocol: whole, interrupted, gated, missing, silent."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from small_backbones import small_backbones

MODEL = "dinov3_base"
PROGRAM = """
import sys
from small_backbones import use_small_backbones
use_small_backbones()
from headct_molre.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Hub(ThreadingHTTPServer):
    """Serves `content` for every file of every repository; `gated` and `missing` refuse as the hub does; `cut` ends a reply early."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.gated, self.missing, self.cut = content, False, False, False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.reply(body=False)

    def do_GET(self):
        self.reply(body=True)

    def reply(self, body):
        hub = self.server
        if hub.gated or hub.missing:
            self.send_response(403 if hub.gated else 404)
            self.send_header("X-Error-Code", "GatedRepo" if hub.gated else "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", '"0123456789abcdef0123456789abcdef01234567"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Content-Length", str(len(hub.content)))
        self.end_headers()
        if body:
            self.wfile.write(hub.content[: len(hub.content) // 2] if hub.cut else hub.content)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("official") / "model.safetensors"
    save_file({key: tensor.contiguous().clone() for key, tensor in small_backbones()[MODEL].official["timm"](0).items()}, path)
    return path


@pytest.fixture
def hub(checkpoint):
    hub = Hub(checkpoint.read_bytes())
    yield hub
    hub.shutdown()
    hub.server_close()


def fetch(home, hub):
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {
        **os.environ,
        "HF_ENDPOINT": hub,
        "HF_HOME": str(home / "hf"),
        "HEADCT_MOLRE_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    command = [sys.executable, "-c", PROGRAM, "models", "--fetch", MODEL]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)


def test_weights_are_fetched_checked_and_installed_with_their_hash(hub, checkpoint, tmp_path):
    done = fetch(tmp_path, hub.address)
    assert done.returncode == 0, done.stderr
    installed = tmp_path / "backbones" / MODEL / "model.safetensors"
    assert load_file(installed).keys() == load_file(checkpoint).keys()
    assert "sha256" in done.stdout
    assert "DINOv3 License" in done.stdout
    assert [path.name for path in (tmp_path / "backbones").iterdir()] == [MODEL]


def test_an_interrupted_download_is_never_installed_and_can_be_tried_again(hub, tmp_path):
    hub.cut = True
    done = fetch(tmp_path, hub.address)
    assert done.returncode == 2
    assert "[hub_unreachable]" in done.stderr
    assert not (tmp_path / "backbones" / MODEL).exists()
    hub.cut = False
    assert fetch(tmp_path, hub.address).returncode == 0


@pytest.mark.parametrize(("state", "code"), [("gated", "licence_not_accepted"), ("missing", "not_on_hub")])
def test_what_the_hub_refuses_is_said_with_the_licence_page(hub, tmp_path, state, code):
    setattr(hub, state, True)
    done = fetch(tmp_path, hub.address)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    assert "dinov3-license" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_network_the_way_around_is_named(tmp_path):
    done = fetch(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "[hub_unreachable]" in done.stderr
    assert f"--fetch {MODEL} --from PATH" in done.stderr
