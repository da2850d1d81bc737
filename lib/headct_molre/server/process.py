"""The name of a server process, by which another one can tell that it has ended."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

# A running job reports more often than this. Of a process on another machine, silence is all that can be known.
SILENT = timedelta(minutes=10)


def process_name(number: int | None = None) -> str:
    """Machine, number and start of a process, this one if not told; numbers are used again, with their start they are not."""
    return _name(os.getpid() if number is None else number)


def process_number(name: str) -> int | None:
    """The number of a process that runs on this machine; None where it has ended, or is on another machine."""
    machine, number, _ = name.rsplit("/", 2)
    return int(number) if machine == _machine() and _name(int(number)) == name else None


def is_gone(process: str | None, last_sign: datetime) -> bool:
    """Whether the process of a job has ended; `last_sign` is when it last reported (with zone)."""
    if process is None:
        return True
    machine, number, _ = process.rsplit("/", 2)
    if machine == _machine():
        return _name(int(number)) != process
    return datetime.now(UTC) - last_sign > SILENT


def _name(number: int) -> str:
    return f"{_machine()}/{number}/{_started(number)}"


def _machine() -> str:
    return socket.gethostname()[:40]


def _started(number: int) -> str:
    """Clock ticks from boot to the start of a process, "-" where there is none of this number or no /proc."""
    try:
        # The second field is the program in parentheses and may hold spaces; the start is the 20th after it.
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "-" if not _runs(number) else "+"


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
