"""A server in a process of its own that a benchmark watches: its memory, its processor time, its log and its metrics."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import httpx
import psutil

START_LIMIT_S = 300
STOP_LIMIT_S = 90
BAD_LEVELS = ("error", "critical")


@dataclass(frozen=True)
class Moment:
    """What the processes of the server held at a time: resident MB of 1,000,000 bytes, and processor seconds until then."""

    at: float
    resident_mb: float
    processor_s: float


class WatchedServer:
    """`headct-molre serve` with the demo model on a free port, looked at once a second from its start until `with` ends."""

    def __init__(self, studies: Path, log: Path, store: str | None) -> None:
        self._studies, self._log, self._store = studies, log, store
        self.moments: list[Moment] = []
        self._ended = threading.Event()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> WatchedServer:
        command = [sys.executable, "-m", "headct_molre.cli", "serve", "--studies", str(self._studies), "--port", str(self._port)]
        # In the environment: a password may not stand on a command line.
        environment = os.environ if self._store is None else {**os.environ, "HEADCT_MOLRE_SERVER_STORE": self._store}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None) -> None:
        self._ended.set()
        self._watcher.join()
        self._process.terminate()
        self._process.wait(timeout=STOP_LIMIT_S)

    def inferences(self) -> tuple[int, float]:
        """How many inferences have ended, by the server's metrics, and how many seconds they took together."""
        lines = httpx.get(f"{self.url}/headct/metrics", timeout=30).text.splitlines()
        count, seconds = (
            sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"headct_inference_seconds_{name}{{"))
            for name in ("count", "sum")
        )
        return round(count), seconds

    def processor_s(self) -> float:
        """Processor seconds of the server until now, without the processes that it started."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def bad_lines(self) -> list[str]:
        """Lines of the log that tell of a failure, or are no line of our log, as a traceback is not. The first line greets."""
        return [line for line in self._log.read_text(encoding="utf-8").splitlines()[1:] if _is_bad(line)]

    def answer_ms(self, route: str, since: float, until: float) -> list[float]:
        """How long the server took for each answer of a route between two times (of the clock), by its own log."""
        found = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            document = json.loads(line) if line.startswith("{") else {}
            if document.get("route") == route and since <= _seconds(document["time"]) <= until:
                found.append(document["ms"])
        return found

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/headct/health", timeout=30).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"the server did not start:\n{self._log.read_text()}")

    def _watch(self) -> None:
        server = psutil.Process(self._process.pid)
        while not self._ended.wait(1.0):
            try:
                processes = [server, *server.children(recursive=True)]
                times = [process.cpu_times() for process in processes]
                resident = sum(process.memory_info().rss for process in processes)
            except psutil.NoSuchProcess:
                continue
            self.moments.append(Moment(time.time(), resident / 1e6, sum(each.user + each.system for each in times)))


def _is_bad(line: str) -> bool:
    try:
        return json.loads(line)["level"] in BAD_LEVELS
    except (ValueError, KeyError, TypeError):
        return True


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
