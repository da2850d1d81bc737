"""The real server in a process of its own, for tests whose own Python has neither torch nor httpx."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
# The interpreter that has the server; `make test` names it.
PYTHON = Path(os.environ.get("HEADCT_SERVER_PYTHON", ROOT / ".venv" / "bin" / "python"))
START_LIMIT_S = 240.0  # it takes 10 s alone, and makes phantoms at the first start


class StoryServer:
    """`headct-molre serve` with the demo model on a free port. `kill` is kill -9; `start` and `restart` do not wait."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.studies = folder, folder / "studies"
        self.token = ""  # with which `ask` asks
        self.settings = settings
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The library of this tree, a home of its own, no GPU and one thread, so that the window has a core for itself."""
        given = {
            "PYTHONPATH": os.pathsep.join((str(ROOT / "lib"), str(ROOT / "tests"))),
            "HEADCT_MOLRE_HOME": str(self.folder / "home"),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        }
        return {**os.environ, **given}

    def run(self, *arguments: str, module: str = "headct_molre.cli") -> str:
        """Another command of headct-molre, or of the tests, to its end; what it printed."""
        command = [str(PYTHON), "-m", module, *arguments]
        return subprocess.run(command, check=True, env=self.environment, stdout=subprocess.PIPE, text=True).stdout

    def start(self) -> None:
        """Begins to start; `ready` tells when it answers."""
        self.studies.mkdir(parents=True, exist_ok=True)
        command = [
            str(PYTHON),
            "-m",
            "headct_molre.cli",
            "serve",
            "--studies",
            str(self.studies),
            "--port",
            str(self.port),
            "--models",
            "demo",
        ]
        command += [part for name, value in self.settings.items() for part in (f"--{name.replace('_', '-')}", value)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environment)

    def ready(self) -> bool:
        """Whether it answers. Raises AssertionError with the log where it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.address}/headct/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer, for what a colleague at another computer does. Raises HTTPError."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"{self.address}{path}", content, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + START_LIMIT_S
        while not self.ready():
            assert time.monotonic() < deadline, f"the server did not start:\n{self.log.read_text()}"
            time.sleep(0.2)

    def kill(self) -> None:
        """As a power failure would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """As an operator would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=90)
