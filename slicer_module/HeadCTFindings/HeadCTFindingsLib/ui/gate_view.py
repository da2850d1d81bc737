"""The gate's report in plain words: better by how much, on how many studies, and where there are no data."""

from __future__ import annotations

from html import escape

import qt
from slicer.i18n import tr as _

from ..core.catalogue import Catalogue
from ..core.gate import GateSummary
from .build import BAD, GOOD, WARN, coloured, label

_COLOURS = {"promote": GOOD, "hold": WARN, "reject": BAD}


class GateView:
    """`widget` shows one report, outcome first."""

    def __init__(self) -> None:
        self.widget = label()
        self.widget.setTextFormat(qt.Qt.RichText)

    def show(self, gate: GateSummary, catalogue: Catalogue, served: str) -> None:
        """The report's lines; the names of the findings come from the catalogue, `served` is the version that predicts now."""
        first, *rest = gate.lines(catalogue)
        if served == gate.candidate:
            first = _("{version} is served. The gate had said: {outcome}.").format(version=served, outcome=gate.outcome)
        elif served and served != gate.champion:
            text = _("{version} was judged against {champion}, which is not served any more. The gate had said: {outcome}.")
            first = text.format(version=gate.candidate, champion=gate.champion, outcome=gate.outcome)
        self.widget.setText("<br>".join([f"<b>{coloured(first, _COLOURS.get(gate.outcome, WARN))}</b>", *map(escape, rest)]))
