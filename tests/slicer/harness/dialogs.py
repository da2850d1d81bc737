"""Modal dialogs in a harness that has no person: a test says the answers beforehand and reads what was asked afterwards."""

from __future__ import annotations

from collections import deque
from typing import Any

from .qt_module import install

qt = install()

_answers: deque[Any] = deque()
_asked: list[str] = []


def expect(*answers: Any) -> None:
    """Answer the next dialogs: qt.QMessageBox.Yes, Ok, No, ... or a path or text for file and text dialogs."""
    _answers.extend(answers)


def take_asked() -> list[str]:
    """The texts of the dialogs since the last call."""
    asked = list(_asked)
    _asked.clear()
    return asked


def unused() -> int:
    """How many expected dialogs did not come; forgets them."""
    left = len(_answers)
    _answers.clear()
    return left


def answer(title: str, text: str) -> Any:
    """The answer that the test gave. Raises AssertionError for a dialog that no test expected: ordinary work has none."""
    _asked.append(text)
    if not _answers:
        raise AssertionError(f"a modal dialog that no test expected: {title.strip()!r}: {text!r}")
    return _answers.popleft()


def _ask(name: str) -> Any:
    return staticmethod(lambda *args: answer(name, " | ".join(arg for arg in args if isinstance(arg, str))))


def install_answers() -> None:
    """Route Qt's own modal dialogs through `answer` too."""
    for name in ("question", "information", "warning", "critical"):
        setattr(qt.QMessageBox, name, _ask(name))
    for name in ("getSaveFileName", "getOpenFileName", "getExistingDirectory"):
        setattr(qt.QFileDialog, name, _ask(name))  # PythonQt returns the path alone, without the filter that PySide6 adds
    qt.QInputDialog.getText = _ask("getText")
    qt.QMessageBox.exec_ = lambda self: answer(self.windowTitle, self.text)
    qt.QMessageBox.exec = qt.QMessageBox.exec_
