"""The reader's call on a finding: present, uncertain, absent as three painted buttons; the chosen one again takes the call back.

Painted, since 75 rows of real buttons or combo boxes make the table slow (measured in PythonQt).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import qt

from ..core.calls import ABSENT, PRESENT, STATES, UNCERTAIN
from .cell_cache import CellCache
from .roles import KEY_ROLE
from .signal import Signal
from .theme import theme_now

SIGNS = {PRESENT: "+", UNCERTAIN: "?", ABSENT: "\N{MINUS SIGN}"}
_MARGIN = 3


class CallDelegate(qt.QStyledItemDelegate):
    """Paints and handles one cell; `state_of` gives a finding's state, `unsaved` whether it differs from what was submitted.

    Emits `clicked(key, state)`.
    """

    def __init__(
        self, state_of: Callable[[str], str], unsaved: Callable[[str], bool], cache: CellCache, parent: qt.QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.state_of, self.unsaved, self.cache = state_of, unsaved, cache
        self.clicked = Signal("key and state of the button that was clicked")
        self.colours = theme_now()
        self.enabled_calls = True

    def paint(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> None:
        """Three buttons, the chosen one filled; a dot where the call is not submitted yet."""
        key, selected = index.data(KEY_ROLE), bool(option.state & qt.QStyle.State_Selected)
        ground = self.colours.selection if selected else self.colours.base if key else self.colours.group
        shown = (self.state_of(key), self.unsaved(key)) if key and self.enabled_calls else None
        if shown is None:
            painter.fillRect(option.rect, ground)
        else:
            self.cache.draw(painter, option.rect, shown, ground, partial(self._paint_cell, *shown))

    def _paint_cell(self, state: str, unsaved: bool, painter: qt.QPainter, box: qt.QRect) -> None:
        colours = self.colours
        for each, button in zip(STATES, buttons(box), strict=True):
            chosen = each == state
            colour = getattr(colours, each)
            if chosen:
                painter.fillRect(button, colour)
            painter.setPen(colour if chosen else colours.line)
            painter.drawRect(button)
            painter.setPen(colours.on_call if chosen else colours.muted)
            painter.drawText(button, qt.Qt.AlignCenter, SIGNS[each])
        if unsaved:
            painter.fillRect(box.right() - 4, box.center().y() - 2, 4, 4, colours.warning)

    def editorEvent(self, event: qt.QEvent, model: qt.QAbstractItemModel, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> bool:
        """Call the finding on release of the left button; the whole double click counts as two clicks, as on real buttons."""
        key = index.data(KEY_ROLE)
        if not key or not self.enabled_calls:
            return False
        kind = event.type()
        if kind == qt.QEvent.MouseButtonRelease and event.button() == qt.Qt.LeftButton:
            state = state_at(option.rect, event.pos())
            if state is not None:
                self.clicked.emit(key, state)
                return True
        return kind in (qt.QEvent.MouseButtonPress, qt.QEvent.MouseButtonDblClick) and state_at(option.rect, event.pos()) is not None


def buttons(cell: qt.QRect) -> tuple[qt.QRect, ...]:
    """The three buttons of a cell: present, uncertain, absent."""
    width, height = (cell.width() - 4 * _MARGIN - 4) // 3, cell.height() - 2 * _MARGIN
    return tuple(
        qt.QRect(cell.left() + _MARGIN + number * (width + _MARGIN), cell.top() + _MARGIN, width, height - 1) for number in range(3)
    )


def state_at(cell: qt.QRect, at: qt.QPoint) -> str | None:
    """The state whose button lies at a point, with half of the space around it, so that a click never falls between two."""
    for state, button in zip(STATES, buttons(cell), strict=True):
        if button.adjusted(-_MARGIN, -_MARGIN, _MARGIN - 1, _MARGIN).contains(at):
            return state
    return None
