"""A process that works for the server: started beside it, watched, ended with all that it started, and never there twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from ..output import write_whole
from .process import process_name, process_number

TERM_S = 10.0  # how long a process that was told to stop may take
_GONE_S = 5.0


class WorkerProcess:
    """One module in a process group of its own; its output goes into a file.

    `mark` is a file that names the process, by which the next server finds one that outlived this server.
    """

    def __init__(self, module: str, arguments: list[str], *, log: Path, mark: Path, environ: Mapping[str, str] = {}) -> None:
        """Starts it. Raises OSError."""
        command = [sys.executable, "-m", "headct_molre.server.background", str(os.getpid()), module, *arguments]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
                start_new_session=True,
            )
        write_whole(mark, process_name(self._process.pid).encode())
        self._mark = mark

    @property
    def number(self) -> int:
        """The number of the process, which is that of its group too."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """The exit code, negative for a signal, or None where it still runs after that time."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        _end_group(self.number, signal.SIGKILL)  # what it left behind
        self._mark.unlink(missing_ok=True)
        return code

    def memory(self) -> int:
        """Bytes that it and all that it started hold in memory."""
        total = 0
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.number)
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def end(self, seconds: float = TERM_S) -> int:
        """Tells it to stop, and ends it where it does not within this time; its exit code."""
        _end_group(self.number, signal.SIGTERM)
        code = self.wait(seconds)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """Ends it at once; its exit code."""
        _end_group(self.number, signal.SIGKILL)
        self._process.wait()
        self._mark.unlink(missing_ok=True)
        return self._process.returncode


def end_outlived(mark: Path, seconds: float = TERM_S) -> bool:
    """Ends a process that a former server started and left; False where there was none. It is gone when this returns.

    Raises TimeoutError for one that even SIGKILL does not end, as in a broken file system.
    """
    try:
        name = mark.read_text(encoding="ascii")
        number = process_number(name)
    except (FileNotFoundError, ValueError):
        return False
    if number is not None:
        _end_group(number, signal.SIGTERM)
        if not _is_gone(name, seconds):
            _end_group(number, signal.SIGKILL)
            if not _is_gone(name, _GONE_S):
                raise TimeoutError(f"process {number} cannot be ended")
    mark.unlink(missing_ok=True)
    return number is not None


def _is_gone(name: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (number := process_number(name)) is not None and not _is_zombie(number):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _is_zombie(number: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(number).status() == psutil.STATUS_ZOMBIE)
    return True


def _end_group(number: int, with_signal: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(number, with_signal)
