"""The part of the router map that changes only with the prediction, the finding or the size: drawn once, then copied to the screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import qt

from ..core import router_map
from ..core.prediction import NOT_ASSESSED, RESEARCH_USE, PredictionView
from . import curves
from .map_layout import Box, MapLayout
from .theme import Theme

SHORT_NOTE = RESEARCH_USE.split(".")[0]


@dataclass(frozen=True)
class Shown:
    """What the map draws: a prediction, and the finding whose evidence is the second curve (its key and name, or "")."""

    view: PredictionView
    key: str
    name: str

    @property
    def evidence(self) -> np.ndarray | None:
        """Evidence of the finding in logits (S,), None where no finding is chosen or it is not assessed by the model."""
        if not self.key or self.key not in self.view.keys or not self.view.estimable[self.view.index(self.key)]:
            return None
        return self.view.evidence_of(self.key)

    @property
    def by_slice(self) -> bool:
        """Whether the router chose for each slice."""
        return self.view.router_level == "slice" and self.view.experts > 0

    @property
    def sentence(self) -> str:
        """Why there is no heat map, or ""."""
        return "" if self.by_slice else router_map.why(self.view)


def draw_picture(shown: Shown, layout: MapLayout, theme: Theme, size: tuple[int, int], ratio: float, font: qt.QFont) -> qt.QPixmap:
    """The map without cursor and read-out, `size` in widget pixels, for a screen of `ratio` device pixels each."""
    picture = qt.QPixmap(round(size[0] * ratio), round(size[1] * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(theme.base)
    painter = qt.QPainter(picture)
    try:
        painter.setFont(font)
        _Drawing(painter, shown, layout, theme).all()
    finally:
        painter.end()
    return picture


def rect(box: Box) -> qt.QRect:
    """The box as Qt's rectangle."""
    return qt.QRect(box.left, box.top, box.width, box.height)


def text(painter: qt.QPainter, box: Box, words: str, colour: qt.QColor, align: str = "left") -> None:
    """One line of text in a box, shortened with an ellipsis where it does not fit."""
    painter.setPen(colour)
    elided = painter.fontMetrics().elidedText(words, qt.Qt.ElideRight, max(box.width, 0))
    painter.drawText(rect(box), qt.Qt.AlignVCenter | _ALIGN[align], elided)


_ALIGN = {"left": qt.Qt.AlignLeft, "right": qt.Qt.AlignRight, "centre": qt.Qt.AlignHCenter}


class _Drawing:
    """One drawing; the painter is ended by whoever made it."""

    def __init__(self, painter: qt.QPainter, shown: Shown, layout: MapLayout, theme: Theme) -> None:
        self.painter, self.shown, self.layout, self.theme = painter, shown, layout, theme
        self.line = painter.fontMetrics().height()

    def all(self) -> None:
        """Every part."""
        if self.layout.experts:
            if self.shown.by_slice:
                self.heat_map()
            else:
                self.expert_bars()
        self.attention()
        self.evidence()
        self.axis()
        self.titles()

    def heat_map(self) -> None:
        """Slices x experts, one coloured cell each; the colours come as RGBA bytes, the one form that PythonQt reads right."""
        cells = router_map.picture(self.shown.view, upright=self.layout.upright)
        self.painter.drawImage(rect(self.layout.heat), qt.QImage(cells.data, cells.width, cells.height, qt.QImage.Format_RGBA8888))
        self.frame(self.layout.heat)

    def expert_bars(self) -> None:
        """One bar for each expert where the router saw the volume as a whole."""
        theme = self.theme
        weights = [bar.weight for bar in router_map.bars(self.shown.view)]
        curves.draw_expert_bars(self.painter, self.layout.heat, weights, theme.text, theme.track, theme.text, self.line)

    def attention(self) -> None:
        """The share of each slice in the pooled feature."""
        values, lane = self.shown.view.attention, self.layout.attention
        if len(values):
            curves.draw_shares(self.painter, self.layout, lane, values.tolist(), float(values.max()), self.theme.attention)
        self.frame(lane)

    def evidence(self) -> None:
        """What each slice adds to the finding's logit, or why nothing is drawn."""
        values, lane, theme = self.shown.evidence, self.layout.evidence, self.theme
        if values is not None and len(values):
            top = float(np.abs(values).max())
            curves.draw_signed(
                self.painter, self.layout, lane, values.tolist(), top, theme.evidence_for, theme.evidence_against, theme.muted
            )
        else:
            self.painter.setPen(theme.muted)
            words = NOT_ASSESSED if self.shown.key else "select a finding"
            self.painter.drawText(rect(lane), qt.Qt.AlignCenter | qt.Qt.TextWordWrap, words)
        self.frame(lane)

    def axis(self) -> None:
        """Numbers of some slices, from 1, as many as there is room for."""
        layout = self.layout
        for number in layout.numbered(2 * self.line if layout.upright else 3 * self.line):
            along = round(layout.centre(number - 1))
            if layout.upright:
                box = Box(layout.axis.left, along - self.line // 2, layout.axis.width - 4, self.line)
                text(self.painter, box, str(number), self.theme.muted, "right")
            else:
                text(
                    self.painter, Box(along - self.line, layout.axis.top, 2 * self.line, self.line), str(number), self.theme.muted, "centre"
                )

    def titles(self) -> None:
        """What each lane shows."""
        layout, theme = self.layout, self.theme
        names = [(layout.attention, "attention", theme.attention), (layout.evidence, "evidence", theme.above)]
        if layout.experts:
            names.append((layout.heat, "expert", theme.text))
        for lane, name, colour in names:
            box = (
                Box(lane.left - 2, 0, lane.width + 4, self.line)
                if layout.upright
                else Box(layout.titles.left, lane.top, layout.titles.width, self.line)
            )
            text(self.painter, box, f"{name}s" if name == "expert" else name, colour, "centre" if layout.upright else "left")
            below = Box(box.left, box.bottom, box.width, self.line)
            if name != "expert" and (layout.upright or lane.height >= 2 * self.line):
                text(self.painter, below, self.extent(name), self.theme.muted, "centre" if layout.upright else "left")
            elif name == "expert" and layout.upright and self.shown.by_slice:
                self.expert_columns(below)
        if not layout.upright and self.shown.evidence is not None:
            self.name_in_lane()
        if layout.experts and self.shown.by_slice and not layout.upright:
            self.expert_numbers()

    def name_in_lane(self) -> None:
        """The finding's name over its curve, on ground that lets both be read."""
        lane, metrics = self.layout.evidence, self.painter.fontMetrics()
        box = Box(
            lane.left + 2, lane.top + 1, min(metrics.horizontalAdvance(self.shown.name) + 8, lane.width - 4), min(self.line, lane.height)
        )
        ground = qt.QColor(self.theme.base)
        ground.setAlpha(190)
        self.painter.fillRect(rect(box), ground)
        text(self.painter, Box(box.left + 3, box.top, box.width - 3, box.height), self.shown.name, self.theme.text)

    def extent(self, name: str) -> str:
        """The value at the outer end of a lane."""
        if name == "attention":
            return f"0\N{EN DASH}{100 * self.shown.view.attention.max(initial=0.0):.1f} %"
        evidence = self.shown.evidence
        return "" if evidence is None else f"\N{PLUS-MINUS SIGN}{np.abs(evidence).max(initial=0.0):.2f}"

    def expert_columns(self, below: Box) -> None:
        """The number of each expert above its column."""
        width = self.layout.heat.width / self.layout.experts
        if width < self.line * 0.6:
            text(self.painter, below, f"1\N{EN DASH}{self.layout.experts}", self.theme.muted, "centre")
            return
        for number in range(self.layout.experts):
            box = Box(round(self.layout.heat.left + number * width), below.top, round(width), self.line)
            text(self.painter, box, str(number + 1), self.theme.muted, "centre")

    def expert_numbers(self) -> None:
        """The number of each expert beside its row, where rows are high enough to be told apart."""
        layout = self.layout
        height = layout.heat.height / layout.experts
        if height < self.line * 0.6:
            return
        for number in range(layout.experts):
            box = Box(layout.titles.left, round(layout.heat.top + number * height), layout.titles.width - 3, round(height))
            text(self.painter, box, str(number + 1), self.theme.muted, "right")

    def frame(self, box: Box) -> None:
        """A thin line around a lane."""
        self.painter.setPen(self.theme.line)
        self.painter.drawRect(box.left - 1, box.top - 1, box.width + 1, box.height + 1)


def draw_legend(painter: qt.QPainter, box: Box, theme: Theme, view: PredictionView) -> None:
    """The colours of the router weights, with the least and the greatest weight."""
    cells, ticks = router_map.legend(view)
    metrics, line = painter.fontMetrics(), painter.fontMetrics().height()
    low, high = f"{ticks[0][1]} ", f" {ticks[-1][1]} weight"
    side, words = metrics.horizontalAdvance(low) + 3, metrics.horizontalAdvance(high) + 3
    bar = Box(box.left + side, box.top + line // 4, max(min(box.width - side - words, 6 * line), 2 * line), line // 2)
    painter.drawImage(rect(bar), qt.QImage(cells.data, cells.width, cells.height, qt.QImage.Format_RGBA8888))
    text(painter, Box(box.left, box.top, side, line), low, theme.muted)
    text(painter, Box(bar.right, box.top, box.right - bar.right, line), high, theme.muted)
