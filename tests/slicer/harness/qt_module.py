"""The module `qt` as Slicer has it: flat, without what PythonQt lacks or what crashes there."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from . import pythonqt, qt5  # after the platform is chosen: PySide6 reads it at import

THREADS = "Qt's threads crash or block in PythonQt: use threading.Thread and a polling QTimer"
ABSENT = {
    "QThread": THREADS,
    "QThreadPool": THREADS,
    "QRunnable": THREADS,
    "QMutex": THREADS,
    "QMutexLocker": THREADS,
    "QSemaphore": THREADS,
    "QWaitCondition": THREADS,
    "Signal": "use HeadCTFindingsLib.ui.signal.Signal",
    "Slot": "connect plain functions",
    "Property": "use a plain Python attribute",
    "SignalInstance": "use HeadCTFindingsLib.ui.signal.Signal",
    "QRegExp": "gone in Qt6: use QRegularExpression",
    "ClassInfo": "PySide6 only",
    "QEnum": "PySide6 only",
    "QFlag": "PySide6 only",
    **qt5.MODULE_NAMES,
}


class _Qt(ModuleType):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"module 'qt' has no {name}: {ABSENT.get(name, 'Slicer wraps QtCore, QtGui, QtWidgets, QtNetwork and QtUiTools')}"
        )


def install() -> ModuleType:
    """Put the module `qt` into sys.modules, once, and return it."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    pythonqt.patch()
    module = _Qt("qt")
    for name, value in pythonqt.flat_names():
        if name not in ABSENT:
            setattr(module, name, value)
    sys.modules["qt"] = module
    return module
