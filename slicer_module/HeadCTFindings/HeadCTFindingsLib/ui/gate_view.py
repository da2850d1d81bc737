"""The gate's report in plain words: better by how much, on how many studies, and where there are no data."""

from __future__ import annotations

from html import escape

import qt
from slicer.i18n import tr as _

from ..app.gate_words import GateWords
from .build import BAD, GOOD, WARN, coloured, label

_COLOURS = {"promote": GOOD, "hold": WARN, "reject": BAD}


class GateView:
    """`widget` shows one report; the words are those of the server, which judged."""

    def __init__(self) -> None:
        self.widget = label()
        self.widget.setTextFormat(qt.Qt.RichText)

    def show(self, words: GateWords) -> None:
        """Outcome, figures, the gate's sentences, and the findings of which it says nothing."""
        parts = [f"<b>{coloured(words.verdict, _COLOURS.get(words.outcome, WARN))}</b> {escape(words.versions)}"]
        if words.demo:
            parts.append(_("DEMO MODEL, trained on synthetic phantoms: its figures say nothing about patients."))
        parts += [escape(sentence) for sentence in words.sentences]
        if words.silent:
            parts.append(escape(_("No data to judge: {names}.").format(names=words.silent)))
        parts.append(_("Research use, not a device."))
        self.widget.setText("<br>".join(parts))
