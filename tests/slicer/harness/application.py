"""The one QApplication of a test process, with settings in a temporary place and exceptions collected."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from . import qt_module

_running: list[Application] = []
NOISE = ("This plugin does not support propagateSizeHints()", "QStandardPaths: ", "qt.qpa")  # of the offscreen platform, harmless


class Application:
    """Owns the QApplication; `unhandled` collects what PythonQt would print and forget: exceptions and Qt's warnings."""

    def __init__(self) -> None:
        qt = qt_module.install()
        self.unhandled: list[str] = []
        qt.qInstallMessageHandler(self._message)
        self.settings_folder = Path(tempfile.mkdtemp(prefix="headct-slicer-settings-"))
        qt.QCoreApplication.setOrganizationName("test harness")
        qt.QCoreApplication.setApplicationName("test harness")
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        for scope in (qt.QSettings.UserScope, qt.QSettings.SystemScope):
            qt.QSettings.setPath(qt.QSettings.IniFormat, scope, str(self.settings_folder))
        self.qt_application: Any = qt.QApplication.instance() or qt.QApplication(["test-harness"])
        self.qt_application.setStyle("Fusion")
        self.qt_application.setQuitOnLastWindowClosed(False)
        sys.excepthook = self._collect

    def _collect(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.unhandled.append("".join(traceback.format_exception(kind, error, trace)))
        sys.__excepthook__(kind, error, trace)

    def _message(self, kind: Any, context: Any, text: str) -> None:
        if (
            kind.name in ("QtWarningMsg", "QtCriticalMsg", "QtFatalMsg")
            and not f"{context.category}: {text}".startswith(NOISE)
            and not text.startswith(NOISE)
        ):
            self.unhandled.append(f"{kind.name}: {text}")
            sys.stderr.write(f"Qt: {text}\n")

    def take_unhandled(self) -> list[str]:
        """The collected tracebacks and warnings, forgotten afterwards."""
        taken, self.unhandled = self.unhandled, []
        return taken


def application() -> Application:
    """The application of this process, made at the first call."""
    if not _running:
        _running.append(Application())
    return _running[0]
