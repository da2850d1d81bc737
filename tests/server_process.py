"""A server in a process of its own, for tests that walk it over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx

from headct_molre.serve import environment, find_app, settled, start_command
from headct_molre.server.config import load_server_config

START_LIMIT_S = 180  # it takes 8 s alone on two cores; a test machine is shared


class Server:
    """`headct-molre serve` on a free port, with all models; `stop` takes the signal, since one test needs kill -9.

    With `small` the models have the reduced backbones of the tests, from the folder HEADCT_MOLRE_HOME. `settings` go to the
    command line as they would be typed.
    """

    def __init__(self, studies: Path, log: Path, small: bool = False, **settings: str) -> None:
        self.studies, self.log, self.small, self.settings = studies, log, small, settings
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        scheme, verify = "http", True
        if "tls_certificate" in settings:
            scheme, verify = "https", ssl.create_default_context(cafile=settings["tls_certificate"])
        self.http = httpx.Client(base_url=f"{scheme}://127.0.0.1:{self.port}", timeout=120, verify=verify)

    def start(self) -> None:
        settings = {"studies": str(self.studies), "port": str(self.port), "models": "all", **self.settings}
        command = [sys.executable, "-m", "headct_molre.cli", "serve"]
        command += [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # no GPU: compared exactly with what a CPU computes
        if self.small:
            app = find_app()
            environ |= environment(
                app, settled(load_server_config({"studies": self.studies, "port": self.port, "models": ("all",)}, environ))
            )
            environ["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
            command = start_command(app)
            command.insert(1, str(Path(__file__).with_name("with_small_backbones.py")))
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.http.get("/headct/health")
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(with_signal)
        self.process.wait(timeout=90)  # stop_s is 30, and a test machine is shared


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
