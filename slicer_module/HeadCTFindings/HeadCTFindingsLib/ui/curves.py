"""A value for each slice drawn along the slices: one bar a slice, so that no value is drawn where none was computed."""

from __future__ import annotations

from collections.abc import Sequence

import qt

from .map_layout import Box, MapLayout


def draw_shares(painter: qt.QPainter, layout: MapLayout, lane: Box, values: Sequence[float], top: float, colour: qt.QColor) -> None:
    """Values from 0 (at the lane's base) to `top` (across the whole lane)."""
    for index, value in enumerate(values):
        box = layout.band(lane, index)
        if layout.upright:
            painter.fillRect(box.left, box.top, _pixels(value, top, lane.width), box.height, colour)
        else:
            length = _pixels(value, top, lane.height)
            painter.fillRect(box.left, lane.bottom - length, box.width, length, colour)


def draw_signed(
    painter: qt.QPainter,
    layout: MapLayout,
    lane: Box,
    values: Sequence[float],
    top: float,
    above: qt.QColor,
    below: qt.QColor,
    axis: qt.QColor,
) -> None:
    """Values from -`top` to `top` about a line in the middle of the lane: to the right of it, or above it, what is positive."""
    half = (lane.width if layout.upright else lane.height) // 2
    middle = lane.left + half if layout.upright else lane.top + half
    for index, value in enumerate(values):
        box = layout.band(lane, index)
        length, colour = _pixels(abs(value), top, half), above if value > 0 else below
        if layout.upright:
            painter.fillRect(middle if value > 0 else middle - length, box.top, length, box.height, colour)
        else:
            painter.fillRect(box.left, middle - length if value > 0 else middle, box.width, length, colour)
    if layout.upright:
        painter.fillRect(middle, lane.top, 1, lane.height, axis)
    else:
        painter.fillRect(lane.left, middle, lane.width, 1, axis)


def draw_expert_bars(
    painter: qt.QPainter, lane: Box, weights: Sequence[float], colour: qt.QColor, track: qt.QColor, text: qt.QColor, line: int
) -> None:
    """One bar for each expert, from 0 to 1, with its number and its weight; in a narrow lane the figures stand above the bar."""
    room = lane.height / max(len(weights), 1)
    narrow = lane.width < 12 * line
    label, value = (0, 0) if narrow else (3 * line // 2, 5 * line // 2)
    length = lane.width - label - value
    thickness = max(min(round(room) - (line + 6 if narrow else 4), line), 3)
    for number, weight in enumerate(weights):
        top, height = round(lane.top + number * room), line if narrow else round(room)
        bar = top + height if narrow else top + (height - thickness) // 2
        painter.fillRect(lane.left + label, bar, length, thickness, track)
        painter.fillRect(lane.left + label, bar, _pixels(weight, 1.0, length), thickness, colour)
        painter.setPen(text)
        figures = qt.QRect(lane.left, top, lane.width, height)
        painter.drawText(figures, qt.Qt.AlignVCenter | qt.Qt.AlignLeft, str(number + 1))
        painter.drawText(figures, qt.Qt.AlignVCenter | qt.Qt.AlignRight, f"{weight:.2f}")


def _pixels(value: float, top: float, room: int) -> int:
    return min(round(value / top * room), room) if top > 0 else 0
