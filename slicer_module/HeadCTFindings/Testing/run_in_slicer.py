"""What only Slicer itself can show: its widgets, its layout manager, and how its interpreter lock treats the worker.

From the root of the repository, with `make serve` in a second terminal for the whole walk:

    HEADCT_SERVER=http://127.0.0.1:8000 Slicer --testing --no-splash \
        --additional-module-paths slicer_module/HeadCTFindings \
        --python-script slicer_module/HeadCTFindings/Testing/run_in_slicer.py

Prints a line for each check, writes a picture of the window beside Slicer's temporary files, and ends with status 0 or 1.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

import qt
import slicer

NAME = "HeadCTFindings"
OLDEST = (5, 10)


def versions() -> str:
    """Slicer 5.10 or newer with Python 3.12."""
    found = (slicer.app.majorVersion, slicer.app.minorVersion)
    assert found >= OLDEST, f"Slicer {found[0]}.{found[1]} is older than 5.10"
    return f"Slicer {slicer.app.applicationVersion}, Python {sys.version.split()[0]}"


def panel() -> str:
    """The module is loaded and its panel is shown, with every widget that the .ui file names."""
    assert NAME in slicer.util.moduleNames(), f"{NAME} is not loaded: see --additional-module-paths"
    slicer.util.selectModule(NAME)
    slicer.app.processEvents()
    widget = slicer.util.getModuleWidget(NAME)
    named = [name for name in vars(widget.ui) if not name.startswith("qt_")]
    assert named, "the .ui file names no widget"
    return f"{len(named)} named widgets"


def worker_gets_time() -> str:
    """A worker thread runs while a timer polls; alone it sleeps (the reason for the module's pump)."""
    ticks, ended = [0], threading.Event()

    def work() -> None:
        while not ended.is_set():
            time.sleep(0.001)
            ticks[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        idle = _ticks_in_a_second(ticks)
        timer = qt.QTimer()
        timer.timeout.connect(_nothing)
        timer.start(20)
        polled = _ticks_in_a_second(ticks)
        timer.stop()
    finally:
        ended.set()
        thread.join()
    assert polled >= 20, f"a polled worker got {polled} ticks in a second"
    return f"{idle} ticks a second alone, {polled} with a timer of 20 ms"


def _nothing(*_: object) -> None:
    pass


def _ticks_in_a_second(ticks: list[int]) -> int:
    before = ticks[0]
    loop = qt.QEventLoop()
    qt.QTimer.singleShot(1000, loop.quit)
    loop.exec_()
    return ticks[0] - before


def walk() -> str:
    """The module's self test, with the event loop's latency meanwhile."""
    late: list[float] = []
    last = [time.perf_counter()]

    def tick(*_: object) -> None:
        now = time.perf_counter()
        late.append(max(0.0, (now - last[0]) * 1000 - 10))
        last[0] = now

    timer = qt.QTimer()
    timer.timeout.connect(tick)
    timer.start(10)
    try:
        import HeadCTFindings

        HeadCTFindings.HeadCTFindingsTest().runTest()
    finally:
        timer.stop()
    late.sort()
    where = os.environ.get("HEADCT_SERVER", "no server")
    longest = f"99th percentile {late[int(len(late) * 0.99)]:.0f} ms, longest {late[-1]:.0f} ms" if late else "no tick"
    return f"{where}; event loop late: {longest}"


def picture() -> str:
    """A picture of the window, to be looked at."""
    path = os.path.join(slicer.app.temporaryPath, "HeadCTFindings.png")
    slicer.app.processEvents()
    assert slicer.util.mainWindow().grab().save(path), f"{path} could not be written"
    return path


def leave_and_return() -> str:
    """Leaving the module takes everything out of the views; the panel comes back."""
    slicer.util.selectModule("Data" if "Data" in slicer.util.moduleNames() else "")
    slicer.app.processEvents()
    slicer.util.selectModule(NAME)
    slicer.app.processEvents()
    return "left and entered again"


CHECKS: tuple[Callable[[], str], ...] = (versions, panel, worker_gets_time, walk, picture, leave_and_return)


def main() -> int:
    """Run all checks; 0 where all passed, 1 otherwise."""
    failed = 0
    for check in CHECKS:
        try:
            print(f"ok      {check.__name__}: {check()}")
        except Exception:
            failed += 1
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}")
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    slicer.util.exit(main())
