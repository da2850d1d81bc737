"""Where the parts of the router map lie: plain arithmetic in widget pixels, no Qt.

Upright (beside a slice view): one row for each slice with the most superior on top, lanes from left to right. Lying (in the panel):
one column for each slice with the most inferior on the left, lanes from top to bottom.
"""

from __future__ import annotations

from dataclasses import dataclass

_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; `right` and `bottom` lie just outside."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    def holds(self, x: int, y: int) -> bool:
        """Whether the pixel lies inside."""
        return self.left <= x < self.right and self.top <= y < self.bottom


@dataclass(frozen=True)
class MapLayout:
    """Boxes of the lanes, and of the texts around them; every lane has the same extent along the slices."""

    upright: bool
    slices: int
    experts: int
    heat: Box
    attention: Box
    evidence: Box
    axis: Box
    titles: Box
    footer: Box

    @property
    def length(self) -> int:
        """Pixels along the slices."""
        return self.heat.height if self.upright else self.heat.width

    def span(self, index: int) -> tuple[int, int]:
        """First pixel of a slice along its axis and the first after it; at least one pixel, and no gap between two slices."""
        low, high = index * self.length // self.slices, (index + 1) * self.length // self.slices
        if self.upright:
            low, high = self.heat.bottom - high, self.heat.bottom - low
        else:
            low, high = self.heat.left + low, self.heat.left + high
        return low, max(high, low + 1)

    def band(self, lane: Box, index: int) -> Box:
        """The part of a lane that belongs to one slice."""
        low, high = self.span(index)
        return Box(lane.left, low, lane.width, high - low) if self.upright else Box(low, lane.top, high - low, lane.height)

    def centre(self, position: float) -> float:
        """Pixel along the axis of a position in slices (2.0 is the centre of slice 2)."""
        along = (position + 0.5) * self.length / self.slices
        return self.heat.bottom - along if self.upright else self.heat.left + along

    def numbered(self, room: int) -> list[int]:
        """Numbers (from 1) of the slices that get one: the first, and round numbers that stand `room` pixels apart at least."""
        pixels = self.length / self.slices
        step = next((step for step in _STEPS if step * pixels >= room), _STEPS[-1])
        return [1, *(number for number in range(step, self.slices + 1, step) if (number - 1) * pixels >= room)]

    def slice_at(self, x: int, y: int) -> int:
        """The slice nearest to a pixel, also beyond the ends, so that a drag that leaves the map keeps its slice."""
        along = self.heat.bottom - 1 - y if self.upright else x - self.heat.left
        return min(max(along * self.slices // max(self.length, 1), 0), self.slices - 1)

    def expert_at(self, x: int, y: int) -> int | None:
        """The expert whose cell lies under the pixel, or None outside the heat map."""
        if not self.experts or not self.heat.holds(x, y):
            return None
        across, width = (x - self.heat.left, self.heat.width) if self.upright else (y - self.heat.top, self.heat.height)
        return across * self.experts // width


def lay_out(width: int, height: int, slices: int, experts: int, line: int, upright: bool) -> MapLayout:
    """The layout for a widget of `width` x `height` pixels whose text lines are `line` pixels high."""
    gap = max(line // 3, 3)
    return (_upright if upright else _lying)(width, height, slices, experts, line, gap)


def _upright(width: int, height: int, slices: int, experts: int, line: int, gap: int) -> MapLayout:
    axis = 2 * line
    titles, footer = 2 * line + gap, 8 * line + gap
    body = max(height - titles - footer - gap, 1)
    room = max(width - axis - 4 * gap, 3)
    heat = room * 38 // 100 if experts else 0
    attention = room * 31 // 100 if experts else room * 48 // 100
    evidence = room - heat - attention
    left = gap + axis
    lanes = []
    for lane in (heat, attention, evidence):
        lanes.append(Box(left, titles, lane, body))
        left += lane + gap
    return MapLayout(
        True,
        slices,
        experts,
        *lanes,
        Box(gap, titles, axis - gap, body),
        Box(0, 0, width, titles),
        Box(gap, height - footer, width - 2 * gap, footer),
    )


def _lying(width: int, height: int, slices: int, experts: int, line: int, gap: int) -> MapLayout:
    side, footer = 5 * line, 2 * line + gap
    body = max(height - footer - line - 4 * gap, 3)
    length = max(width - side - 2 * gap, 1)
    heat = body * 46 // 100 if experts else 0
    attention = body * 22 // 100 if experts else body * 40 // 100
    evidence = body - heat - attention
    top = gap
    boxes = []
    for lane in (evidence, attention, heat):
        boxes.append(Box(side, top, length, lane))
        top += lane + gap
    return MapLayout(
        False,
        slices,
        experts,
        boxes[2],
        boxes[1],
        boxes[0],
        Box(side, top, length, line),
        Box(gap, 0, side - 2 * gap, top),
        Box(gap, height - footer, width - 2 * gap, footer),
    )
