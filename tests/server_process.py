"""A server in a process of its own, for tests that walk it over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from headct_molre.models.backbones import backbone_names
from headct_molre.serve import environment, find_app, start_command

START_LIMIT_S = 180  # it takes 8 s alone on two cores; a test machine is shared


class Server:
    """`headct-molre serve` on a free port, with all models; `stop` takes the signal, since one test needs kill -9.

    With `small` the models have the reduced backbones of the tests, from the folder HEADCT_MOLRE_HOME.
    """

    def __init__(self, studies: Path, log: Path, small: bool = False) -> None:
        self.studies, self.log, self.small = studies, log, small
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def start(self) -> None:
        command = [sys.executable, "-m", "headct_molre.cli", "serve", "--studies", str(self.studies)]
        command += ["--port", str(self.port), "--models", "all"]
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # compared exactly with what a CPU computes
        if self.small:
            app = find_app()
            environ |= environment(app, self.studies)
            environ["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
            command = start_command(app, self.studies, "127.0.0.1", self.port, backbone_names())
            command.insert(1, str(Path(__file__).with_name("with_small_backbones.py")))
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.http.get("/headct/health").raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(with_signal)
        self.process.wait(timeout=90)  # stop_s is 30, and a test machine is shared
