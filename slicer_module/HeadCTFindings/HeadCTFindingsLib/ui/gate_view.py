"""The gate's report in plain words: better by how much, on how many studies, and where there are no data."""

from __future__ import annotations

from html import escape

import qt

from ..core.catalogue import Catalogue
from ..core.gate import GateSummary
from .build import BAD, GOOD, WARN, coloured, label

_COLOURS = {"promote": GOOD, "hold": WARN, "reject": BAD}


class GateView:
    """`widget` shows one report, outcome first."""

    def __init__(self) -> None:
        self.widget = label()
        self.widget.setTextFormat(qt.Qt.RichText)

    def show(self, gate: GateSummary, catalogue: Catalogue) -> None:
        """The report's lines; the names of the findings come from the catalogue."""
        first, *rest = gate.lines(catalogue)
        self.widget.setText("<br>".join([f"<b>{coloured(first, _COLOURS.get(gate.outcome, WARN))}</b>", *map(escape, rest)]))
