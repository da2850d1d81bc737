"""The probability of a finding as a bar with the operating point as a tick, and in words what may be said of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import qt

from ..core.prediction import NOT_ASSESSED
from ..core.rows import WAITING, Group, Row, percent
from .cell_cache import CellCache
from .roles import GROUP_ROLE, KEY_ROLE
from .theme import theme_now

SHORTEST = "not ruled out"
_GAP = 4


class BarDelegate(qt.QStyledItemDelegate):
    """Paints one cell; `row_of` and `group_of` give what it shows, `before_of` the probability of an earlier version or None."""

    def __init__(
        self,
        row_of: Callable[[str], Row | None],
        group_of: Callable[[str], Group | None],
        before_of: Callable[[str], float | None],
        cache: CellCache,
        parent: qt.QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.row_of, self.group_of, self.before_of, self.cache = row_of, group_of, before_of, cache
        self.colours = theme_now()

    def paint(self, painter: qt.QPainter, option: qt.QStyleOptionViewItem, index: qt.QModelIndex) -> None:
        """Draw the bar, or the summary of a group."""
        key, title = index.data(KEY_ROLE), index.data(GROUP_ROLE)
        selected = bool(option.state & qt.QStyle.State_Selected)
        ground = self.colours.selection if selected else self.colours.base if key else self.colours.group
        self.cache.draw(painter, option.rect, (key, title), ground, partial(self._paint_cell, key, title))

    def _paint_cell(self, key: str, title: str, painter: qt.QPainter, box: qt.QRect) -> None:
        row, group = (self.row_of(key), None) if key else (None, self.group_of(title))
        if row is not None:
            self._paint_row(painter, box, row)
        elif group is not None:
            painter.setPen(self.colours.above if group.alarms else self.colours.muted)
            self._words(painter, box.left() + _GAP, box, summary(group))

    def _paint_row(self, painter: qt.QPainter, box: qt.QRect, row: Row) -> None:
        if row.probability is None:
            painter.setPen(self.colours.muted)
            self._words(painter, box.left() + _GAP, box, (row.statement, row.statement.split(" by ")[0]))
            return
        colours, metrics = self.colours, painter.fontMetrics()
        figure = metrics.horizontalAdvance("> 99 %  ")
        length = bar_length(box.width() - figure, metrics.horizontalAdvance(SHORTEST))
        left, height = box.left() + _GAP, max(box.height() * 2 // 5, 6)
        top = box.top() + (box.height() - height) // 2
        painter.fillRect(left, top, length, height, colours.track)
        painter.fillRect(left, top, max(round(length * row.probability), 1), height, colours.above if row.positive else colours.below)
        before = self.before_of(row.key)
        if before is not None:
            at = left + round(length * before)
            painter.fillRect(at - 1, top + height + 1, 3, 3, colours.text)
        if row.threshold is not None:
            at = left + min(round(length * row.threshold), length - 1)
            painter.fillRect(at - 1, top - 3, 2, height + 6, colours.text)
        left += length + 2 * _GAP
        painter.setPen(colours.text)
        painter.drawText(qt.QRect(left, box.top(), figure - _GAP, box.height()), qt.Qt.AlignVCenter | qt.Qt.AlignLeft, row.percent)
        painter.setPen(colours.above if row.positive else colours.muted)
        self._words(painter, left + figure, box, statements(row, before))

    def _words(self, painter: qt.QPainter, left: int, box: qt.QRect, longest_first: tuple[str, ...]) -> None:
        """The longest of the texts that fits, the last one shortened where none does."""
        metrics, room = painter.fontMetrics(), box.right() - left
        words = next((text for text in longest_first if metrics.horizontalAdvance(text) <= room), None)
        if words is None:
            words = metrics.elidedText(longest_first[-1], qt.Qt.ElideRight, room)
        painter.drawText(qt.QRect(left, box.top(), max(room, 0), box.height()), qt.Qt.AlignVCenter | qt.Qt.AlignLeft, words)


def bar_length(room: int, words: int) -> int:
    """Pixels of the bar where `room` is left for it and for words: a third, or what the shortest words (`words` pixels) leave."""
    return max(min(room // 3, room - words - 4 * _GAP, 110), 28)


def statements(row: Row, before: float | None = None) -> tuple[str, ...]:
    """What stands beside the bar, the longest first; the shortest still never reads as ruled out."""
    if row.positive:
        point = f" {percent(row.threshold)}" if row.threshold is not None else ""
        told: tuple[str, ...] = (f"above threshold{point}", f"above{point}", "above")
        if row.acuity == "critical":
            told = (f"critical, above threshold{point}", f"critical, above{point}", *told[1:])
    else:
        told = (row.statement, SHORTEST)
    if before is None:
        return told
    return (*(f"was {percent(before)}, {text}" for text in told), *told)


def summary(group: Group) -> tuple[str, ...]:
    """What stands beside a heading, the longest first; families are counted, not rows."""
    if all(row.statement == WAITING for row in group.rows):
        return (WAITING, "")
    silent = sum(row.statement == NOT_ASSESSED for row in group.rows)
    above = f"{group.alarms} above threshold" if group.alarms else "none above threshold"
    told = (f"{above}, {silent} of {len(group.rows)} not assessed",) if silent else ()
    return (*told, above, f"{group.alarms} above")
