"""Runs a module as `python -m` would, as work that gives way to the server which started it.

    python -m headct_molre.server.background PARENT MODULE [ARGUMENT ...]

Everything is set here, in the process itself and before anything heavy is loaded: between a fork and an exec of a server with threads
nothing may be done. `PARENT` is the number of the server's process; when that ends without a word, this one is told to stop (Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

NICENESS = 10
TERMINATED = 143
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_FIRST_TO_GO = "1000"  # where memory runs out, the system ends this process and not the server


def main() -> None:
    """Gives way, then becomes the module."""
    parent, module, *arguments = sys.argv[1:]
    give_way()
    if not stop_with(int(parent)):
        sys.exit(TERMINATED)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def give_way() -> None:
    """Lowers the priority of this process, and makes it the first to be ended where the machine's memory runs out (Linux)."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


def stop_with(parent: int) -> bool:
    """Have this process get SIGTERM when its parent ends (Linux); False where that has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
    return os.getppid() == parent


if __name__ == "__main__":
    main()
