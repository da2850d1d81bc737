"""Above the table: which findings it shows, and in what order."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from ..core.rows import Group, Row
from .signal import Signal

ALL, ABOVE, ASSESSED, OPEN, CALLED, CHANGED = "all", "above", "assessed", "open", "called", "changed"
LEAST_CHANGE = 0.05
"""Probabilities of two versions that differ by less, on the same side of the threshold, are not shown as changed."""


class FindingsToolbar(qt.QWidget):
    """Filter box, grouping and choice of findings. Emits `filtered(text)` while typing and `arranged()` for the two lists."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self.filtered = Signal("text of the filter box")
        self.arranged = Signal("grouping or choice changed")
        self.box = qt.QLineEdit()
        self.box.setPlaceholderText(_("Filter: name or synonym"))
        self.box.setClearButtonEnabled(True)
        self.box.setToolTip(_("Each word has to be part of a finding's name, synonyms, category or acuity. Esc empties the box."))
        self.grouping = _list([("category", _("By category")), ("acuity", _("By acuity"))], _("How the findings are grouped"))
        self.choice = _list(_CHOICES, _("Which findings are listed"))
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box, 1)
        layout.addWidget(self.grouping)
        layout.addWidget(self.choice)
        self.box.textChanged.connect(self._on_text)
        self.grouping.currentIndexChanged.connect(self._on_arranged)
        self.choice.currentIndexChanged.connect(self._on_arranged)

    @property
    def by(self) -> str:
        """category or acuity."""
        return str(self.grouping.currentData)

    @property
    def chosen(self) -> str:
        """Which findings are listed: one of this file's words."""
        return str(self.choice.currentData)

    def offer_changed(self, offered: bool) -> None:
        """Offer the choice of findings that changed against an earlier version, or take it away."""
        place = self.choice.findData(CHANGED)
        if offered and place < 0:
            self.choice.addItem(_("Changed"), CHANGED)
        elif not offered and place >= 0:
            if self.choice.currentIndex == place:
                self.choice.setCurrentIndex(0)
            self.choice.removeItem(place)

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Esc empties the filter box."""
        if event.key() == qt.Qt.Key_Escape and self.box.text:
            self.box.clear()
        else:
            qt.QWidget.keyPressEvent(self, event)

    def _on_text(self, *_arguments: object) -> None:
        self.filtered.emit(self.box.text)

    def _on_arranged(self, *_arguments: object) -> None:
        self.arranged.emit()


def narrowed(groups: tuple[Group, ...], chosen: str, before: dict[str, float]) -> tuple[Group, ...]:
    """The groups with the chosen findings only, without those left empty; `before` has the findings that changed."""
    kept = (Group(group.title, tuple(row for row in group.rows if _chosen(row, chosen, before.get(row.key)))) for group in groups)
    return tuple(group for group in kept if group.rows)


def _chosen(row: Row, chosen: str, before: float | None) -> bool:
    if chosen == ABOVE:
        return row.positive
    if chosen == ASSESSED:
        return row.probability is not None
    if chosen in (OPEN, CALLED):
        return (row.state == "not_assessed") == (chosen == OPEN)
    return before is not None if chosen == CHANGED else True


def changed(before: float, now: float, threshold: float) -> bool:
    """Whether two probabilities differ enough to be told: by `LEAST_CHANGE`, or in which side of the threshold (or NaN) they are on."""
    return abs(before - now) >= LEAST_CHANGE or (before >= threshold) != (now >= threshold)


_CHOICES = [
    (ALL, _("All findings")),
    (ABOVE, _("Above threshold")),
    (ASSESSED, _("Assessed by the model")),
    (OPEN, _("Without a call")),
    (CALLED, _("With a call")),
]


def _list(entries: list[tuple[str, str]], tip: str) -> qt.QComboBox:
    made = qt.QComboBox()
    for data, text in entries:
        made.addItem(text, data)
    made.setToolTip(tip)
    made.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(9)
    return made
