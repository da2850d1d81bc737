"""The real server for the harness: a process of the main environment's Python, since this one has no torch.

HEADCT_PYTHON names that Python (`make test` sets it); otherwise the checkout's .venv is taken.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
START_LIMIT_S = 180.0  # it takes 8 s alone on two cores; a test machine is shared
STOP_LIMIT_S = 90.0


def server_python() -> Path:
    """The Python that has the server. Skips the test where there is none."""
    named = Path(os.environ.get("HEADCT_PYTHON", ROOT / ".venv" / "bin" / "python"))
    if not named.exists():
        pytest.skip(f"{named} is not there: `make test` makes it, or set HEADCT_PYTHON to a Python with headct_molre and MONAI Label")
    return named


class Server:
    """`headct-molre serve` with the demo model on a free port. `kill` and `start` again keep port, studies and home.

    `folder` holds everything it writes: studies, versions of models (HEADCT_MOLRE_HOME) and the log. `settings` go to the
    command line as they would be typed, e.g. demo_studies="", auth="tokens".
    """

    def __init__(self, folder: Path, models: str = "demo", **settings: str) -> None:
        self.folder = folder
        self.studies = folder / "studies"
        self.log = folder / "server.log"
        self.models, self.settings = models, settings
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What a user types into the panel."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        """Start it and wait until it answers. Raises AssertionError with the log where it does not."""
        self.studies.mkdir(parents=True, exist_ok=True)
        settings = {"studies": str(self.studies), "port": str(self.port), "models": self.models, **self.settings}
        command = [str(server_python()), "-m", "headct_molre.cli", "serve"]
        command += [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value) if part]
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HEADCT_MOLRE_HOME": str(self.folder / "home")}
        environ["PYTHONPATH"] = str(ROOT / "lib")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ, start_new_session=True)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.answers():
                return self
            time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def answers(self) -> bool:
        """Whether it answers now, whatever it answers."""
        try:
            urllib.request.urlopen(f"{self.address}/headct/health", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it as an operator does (SIGTERM), with its worker processes."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=STOP_LIMIT_S)

    def kill(self) -> None:
        """End it and its worker processes at once (SIGKILL), as a power failure does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=STOP_LIMIT_S)
