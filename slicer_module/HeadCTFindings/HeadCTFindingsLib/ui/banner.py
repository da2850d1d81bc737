"""A message across the panel: a refusal, warnings of the gate, consent. Never a modal dialog."""

from __future__ import annotations

from html import escape
from typing import Any

import qt

from .build import BAD, BUSY, WARN, label

_COLOURS = {"info": BUSY, "warning": WARN, "refusal": BAD}


class Banner:
    """`show(kind, headline, lines)` with kind info, warning or refusal; `widget` is hidden while there is nothing to say."""

    def __init__(self) -> None:
        self.widget = qt.QFrame()
        self.widget.setObjectName("banner")
        self._text = label()
        self._text.setTextFormat(qt.Qt.RichText)
        self.buttons = qt.QHBoxLayout()
        inside = qt.QVBoxLayout(self.widget)
        inside.setContentsMargins(8, 6, 8, 6)
        inside.addWidget(self._text)
        inside.addLayout(self.buttons)
        self.widget.hide()

    @property
    def text(self) -> str:
        """What stands in it, as rich text."""
        return self._text.text

    def show(self, kind: str, headline: str, lines: list[str] | None = None) -> None:
        """Shows a headline and what is behind it; the texts are taken as they are, tags included."""
        colour = _COLOURS[kind]
        self.widget.setStyleSheet(f"QFrame#banner {{ border: 1px solid {colour}; border-left: 5px solid {colour}; border-radius: 3px; }}")
        said = "".join(f"<br>{escape(line)}" for line in lines or [])
        self._text.setText(f"<b>{escape(headline)}</b>{said}")
        self.widget.show()

    def hide(self) -> None:
        """Takes the banner away."""
        self._text.setText("")
        self.widget.hide()

    def add_button(self, made: Any) -> None:
        """Puts a button under the text."""
        self.buttons.addWidget(made)
