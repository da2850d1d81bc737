"""Runs Qt's event loop as PythonQt does: the interpreter lock is *held* while the loop idles.

PySide6 releases it, so a worker thread that nobody polls for works there and sleeps in Slicer (1 tick a second against
928, measured). Here the C++ loop is entered through ctypes.PyDLL, which keeps the lock.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PySide6
import shiboken6

from .held import dropped
from .qt_module import install


def _library() -> ctypes.PyDLL:
    return ctypes.PyDLL(str(next((Path(PySide6.__file__).parent / "Qt" / "lib").glob("libQt6Core.so.6"))))


_exec = _library()["_ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE"]
_exec.argtypes = [ctypes.c_void_p, ctypes.c_int]
_exec.restype = ctypes.c_int


def _run(loop: Any, *_: Any) -> int:
    return _exec(shiboken6.getCppPointer(loop)[0], 0)


install().QEventLoop.exec_ = install().QEventLoop.exec = _run


def process(seconds: float = 0.0) -> None:
    """Handle the events of `seconds` (at least those that wait now), with the interpreter lock held as in Slicer.

    Raises AssertionError for a delegate, model or event filter that PythonQt would have dropped by now.
    """
    qt = install()
    lost = dropped()
    if lost:
        raise AssertionError("; ".join(lost))
    loop = qt.QEventLoop()
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(loop.quit)
    timer.start(int(seconds * 1000))
    loop.exec_()


def wait_until(ready: Callable[[], object], seconds: float = 10.0, what: str = "") -> float:
    """Handle events until `ready()` is true; returns the seconds it took. Raises AssertionError when it never is."""
    begun = time.perf_counter()
    while not ready():
        if time.perf_counter() - begun > seconds:
            raise AssertionError(f"{what or getattr(ready, '__name__', 'the condition')} did not come true within {seconds:g} s")
        process(0.02)
    process(0)
    return time.perf_counter() - begun
