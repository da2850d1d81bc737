"""Small builders of Qt widgets, so that the panels read as a list of what is on them.

PythonQt takes no keyword arguments, and keeps no widget alive that neither Qt nor Python holds: each builder returns what it made.
Slots take `*_`, since PythonQt passes the arguments of a signal and PySide6 may not.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import qt

GOOD, BUSY, WARN, BAD = "#2e9e5b", "#3b82c4", "#c98a00", "#d0453a"  # each reads well on a light and on a dark panel


def label(text: str = "") -> Any:
    """A label that wraps, whose text can be selected, so that an error can be copied."""
    made = qt.QLabel(text)
    made.setWordWrap(True)
    made.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
    return made


def button(text: str, tip: str, pressed: Callable[..., None]) -> Any:
    """A push button that calls `pressed`."""
    made = qt.QPushButton(text)
    made.setToolTip(tip)
    made.clicked.connect(pressed)
    return made


def allow(made: Any, tip: str, why_not: str) -> None:
    """Enables a button, or disables it and says why in its tip."""
    made.setEnabled(not why_not)
    made.setToolTip(why_not or tip)


def row(*parts: Any) -> Any:
    """A horizontal layout of widgets; an int is a stretch."""
    made = qt.QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        if isinstance(part, int):
            made.addStretch(part)
        else:
            made.addWidget(part)
    return made


def column(*parts: Any) -> Any:
    """A widget with a vertical layout of widgets and layouts."""
    made = qt.QWidget()
    stacked = qt.QVBoxLayout(made)
    stacked.setContentsMargins(0, 0, 0, 0)
    stacked.setSpacing(4)
    for part in parts:
        if hasattr(part, "addWidget"):
            stacked.addLayout(part)
        else:
            stacked.addWidget(part)
    return made


def show_text(target: Any, text: str) -> None:
    """Sets a label's text, and hides the label where there is none."""
    target.setText(text)
    target.setVisible(bool(text))


def coloured(text: str, colour: str) -> str:
    """A piece of rich text in a colour; the text is taken as it is, tags included."""
    return f'<span style="color:{colour}">{escape(text)}</span>'


def choose(box: Any, data: str) -> None:
    """Selects the entry of a combo box whose data this is, silently; the first one where there is none."""
    blocked = box.blockSignals(True)
    box.setCurrentIndex(max(0, box.findData(data)))
    box.blockSignals(blocked)


def fill(box: Any, entries: list[tuple[str, str]], chosen: str) -> None:
    """Replaces the entries (data, text) of a combo box, silently."""
    blocked = box.blockSignals(True)
    box.clear()
    for data, text in entries:
        box.addItem(text, data)
    box.blockSignals(blocked)
    choose(box, chosen)
