"""The router map: slices x experts as a heat map, attention and the evidence of a finding along it, a cursor, and a way to go to a slice.

Slices are counted from 0 in the code and from 1 on the screen, the most inferior first.
"""

from __future__ import annotations

import qt

from ..core import router_map
from ..core.catalogue import Catalogue
from ..core.prediction import PredictionView
from .map_layout import Box, MapLayout, lay_out
from .map_picture import SHORT_NOTE, Shown, draw_legend, draw_picture, rect, text
from .signal import Signal
from .theme import theme_now

_DARK, _LIGHT = qt.QColor(0, 0, 0), qt.QColor(255, 255, 255)
EMPTY = "The router map appears with the prediction."
_NEXT = {qt.Qt.Key_Up: 1, qt.Qt.Key_Right: 1, qt.Qt.Key_Down: -1, qt.Qt.Key_Left: -1, qt.Qt.Key_PageUp: 5, qt.Qt.Key_PageDown: -5}


class RouterMap(qt.QWidget):
    """Emits `slice_chosen(index)` on click, drag, wheel and keys; it moves its cursor only when told, so that the slice view leads.

    Set `catalogue` for the names of findings. `upright` stands beside a slice view (superior on top); otherwise it lies in the panel
    (inferior on the left).
    """

    def __init__(self, upright: bool = False, parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self.slice_chosen = Signal("index of the slice that the reader wants to see")
        self.upright = upright
        self.catalogue: Catalogue | None = None
        self.shown: Shown | None = None
        self.cursor_position: float | None = None
        self._colours = theme_now()
        self._key = ""
        self._hover: tuple[int, int] | None = None
        self._dragging = False
        self._picture: qt.QPixmap | None = None
        self._plan: MapLayout | None = None
        self._asked: int | None = None
        self._turned = 0
        self.setMouseTracking(True)
        self.setFocusPolicy(qt.Qt.StrongFocus)
        line = self.fontMetrics().height()
        self.setMinimumSize(qt.QSize(14 * line, 24 * line) if upright else qt.QSize(18 * line, 13 * line))
        self.setToolTip("")
        self.setObjectName("RouterMap")

    def show_prediction(self, view: PredictionView | None) -> None:
        """Show a prediction, or nothing; a chosen finding stays chosen."""
        self.shown = Shown(view, self._key, self._name(self._key)) if view is not None and view.slices else None
        self.cursor_position = None
        self._forget()

    def show_finding(self, key: str) -> None:
        """Draw this finding's evidence as the second curve; "" for none."""
        self._key = key
        if self.shown is not None and key != self.shown.key:
            self.shown = Shown(self.shown.view, key, self._name(key))
            self._forget()

    def move_cursor(self, position: float | None) -> None:
        """Put the cursor line at a position in slices (2.0 is the centre of slice 2), outside the model's slices at their end."""
        if position != self.cursor_position:
            self.cursor_position = position
            self._asked = None
            self.update()

    def readout(self) -> list[tuple[str, str]]:
        """What stands below the map, as (name, value): for the slice under the mouse, else for that of the cursor."""
        index, expert = self._pointed()
        if self.shown is None or index is None:
            return []
        view = self.shown.view
        lines = [("slice", f"{index + 1} of {view.slices}")]
        if self.shown.by_slice:
            weights = view.router[index]
            number = int(weights.argmax()) if expert is None else expert
            lines.append((f"expert {number + 1}", f"{weights[number]:.3f}"))
        lines.append(("attention", f"{100 * view.attention[index]:.1f} %"))
        evidence = self.shown.evidence
        if evidence is not None:
            lines.append(("evidence", f"{evidence[index]:+.2f}"))
        return lines

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        """Copy the picture, then draw cursor, pointer and read-out."""
        if self.shown is not None and self._picture is None:
            self._draw()
        painter = qt.QPainter(self)
        try:
            if self._picture is None:
                painter.fillRect(self.rect, self._colours.base)
                painter.setPen(self._colours.muted)
                painter.drawText(self.rect, qt.Qt.AlignCenter | qt.Qt.TextWordWrap, EMPTY)
            else:
                painter.drawPixmap(0, 0, self._picture)
                self._paint_pointer(painter)
                self._paint_cursor(painter)
                self._paint_footer(painter)
        finally:
            painter.end()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Lay out anew."""
        self._forget()

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow a change of theme or font."""
        qt.QWidget.changeEvent(self, event)
        if event.type() in (qt.QEvent.PaletteChange, qt.QEvent.ApplicationPaletteChange, qt.QEvent.FontChange, qt.QEvent.StyleChange):
            self._colours = theme_now()
            self._forget()

    def mousePressEvent(self, event: qt.QMouseEvent) -> None:
        """Go to the slice that was clicked."""
        if event.button() == qt.Qt.LeftButton and self.shown is not None and self._in_lanes(event.pos()):
            self._dragging = True
            self._ask(self._slice_at(event.pos()))

    def mouseMoveEvent(self, event: qt.QMouseEvent) -> None:
        """Follow the mouse: read out what is under it, and go there while the button is held."""
        at = event.pos()
        self._hover = (at.x(), at.y()) if self._in_lanes(at) else None
        if self._dragging and self.shown is not None:
            self._ask(self._slice_at(at))
        self.setToolTip(self._exact())
        self.update()

    def mouseReleaseEvent(self, event: qt.QMouseEvent) -> None:
        """End a drag."""
        self._dragging = False

    def leaveEvent(self, event: qt.QEvent) -> None:
        """Read out the cursor's slice again."""
        self._hover = None
        self.update()

    def wheelEvent(self, event: qt.QWheelEvent) -> None:
        """One slice for a notch, away from the person is up, as in the slice views; a touch pad's small turns add up."""
        self._turned += event.angleDelta().y()
        notches = int(self._turned / 120)
        self._turned -= 120 * notches
        if notches:
            self._step(notches)
        event.accept()

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Arrows go one slice, page keys five, Home and End to the lowest and the highest."""
        key = event.key()
        if self.shown is None:
            qt.QWidget.keyPressEvent(self, event)
        elif key == qt.Qt.Key_Home:
            self._ask(0)
        elif key == qt.Qt.Key_End:
            self._ask(self.shown.view.slices - 1)
        elif key in _NEXT:
            self._step(_NEXT[key])
        else:
            qt.QWidget.keyPressEvent(self, event)

    def _name(self, key: str) -> str:
        return self.catalogue.name(key) if self.catalogue is not None else key

    def _exact(self) -> str:
        """All values under the mouse, and what a router weight is."""
        index, expert = self._pointed()
        if self.shown is None or self._hover is None or index is None:
            return ""
        key = self.shown.key if self.shown.evidence is not None else None
        return router_map.hover(self.shown.view, index, expert, key, self.catalogue) + "\n\n" + router_map.why(self.shown.view)

    def _pointed(self) -> tuple[int | None, int | None]:
        """Slice and expert under the mouse, else the cursor's slice."""
        if self.shown is None:
            return None, None
        plan = self._laid_out()
        if self._hover is not None:
            return plan.slice_at(*self._hover), plan.expert_at(*self._hover) if self.shown.by_slice else None
        return (None, None) if self.cursor_position is None else (self._nearest(self.cursor_position), None)

    def _nearest(self, position: float) -> int:
        assert self.shown is not None
        return min(max(round(position), 0), self.shown.view.slices - 1)

    def _step(self, by: int) -> None:
        """Ask for a slice relative to the last that was asked for: the view may still be on its way there."""
        if self.shown is None:
            return
        start = self._asked if self._asked is not None else self._nearest(self.cursor_position or 0.0)
        self._ask(self._nearest(start + by))

    def _ask(self, index: int) -> None:
        if index != self._asked:
            self._asked = index
            self.slice_chosen.emit(index)

    def _slice_at(self, at: qt.QPoint) -> int:
        return self._laid_out().slice_at(at.x(), at.y())

    def _in_lanes(self, at: qt.QPoint) -> bool:
        """Whether a point lies along the slices, on a lane or between two."""
        if self.shown is None:
            return False
        plan = self._laid_out()
        along, across = (at.y(), at.x()) if self.upright else (at.x(), at.y())
        start = plan.heat.top if self.upright else plan.heat.left
        ends = [plan.heat, plan.attention, plan.evidence, plan.axis]
        low = min(box.left if self.upright else box.top for box in ends)
        high = max(box.right if self.upright else box.bottom for box in ends)
        return start <= along < start + plan.length and low <= across < high

    def _forget(self) -> None:
        self._picture = self._plan = self._asked = None
        self.update()

    def _laid_out(self) -> MapLayout:
        if self._plan is None:
            assert self.shown is not None
            view, line = self.shown.view, self.fontMetrics().height()
            above = self._sentence_height() if self.shown.sentence else 0
            self._plan = lay_out(self.width, self.height - above, view.slices, view.experts, line, self.upright)
        return self._plan

    def _sentence_height(self) -> int:
        assert self.shown is not None
        box = qt.QRect(0, 0, max(self.width - 8, 1), 1000)
        return self.fontMetrics().boundingRect(box, qt.Qt.TextWordWrap, self.shown.sentence).height() + 4

    def _draw(self) -> None:
        assert self.shown is not None
        ratio = self.devicePixelRatioF()
        self._picture = draw_picture(self.shown, self._laid_out(), self._colours, (self.width, self.height), ratio, self.font)

    def _paint_cursor(self, painter: qt.QPainter) -> None:
        """A white line with dark edges: seen on every colour of the map and in every theme."""
        if self.cursor_position is None:
            return
        assert self.shown is not None
        plan = self._laid_out()
        along = round(plan.centre(min(max(self.cursor_position, -0.5), self.shown.view.slices - 0.5)))
        for box in self._lanes():
            if self.upright:
                painter.fillRect(box.left, along - 1, box.width, 3, _DARK)
                painter.fillRect(box.left, along, box.width, 1, _LIGHT)
            else:
                painter.fillRect(along - 1, box.top, 3, box.height, _DARK)
                painter.fillRect(along, box.top, 1, box.height, _LIGHT)

    def _paint_pointer(self, painter: qt.QPainter) -> None:
        """Outline the slice under the mouse."""
        if self._hover is None:
            return
        plan = self._laid_out()
        index = plan.slice_at(*self._hover)
        for box in self._lanes():
            band = plan.band(box, index)
            painter.setPen(_DARK)
            painter.drawRect(band.left - 1, band.top - 1, band.width + 1, band.height + 1)
            painter.setPen(_LIGHT)
            painter.drawRect(band.left, band.top, max(band.width - 1, 1), max(band.height - 1, 1))

    def _lanes(self) -> list[Box]:
        """The lanes that run along the slices; the bars of a volume's experts do not."""
        assert self.shown is not None
        plan = self._laid_out()
        return [plan.heat, plan.attention, plan.evidence] if self.shown.by_slice else [plan.attention, plan.evidence]

    def _paint_footer(self, painter: qt.QPainter) -> None:
        """Read-out, legend, and what the figures are not."""
        assert self.shown is not None
        box, line = self._laid_out().footer, painter.fontMetrics().height()
        demo = self.shown.view.demo
        name = self.shown.name
        if self.upright:
            rows = [Box(box.left, box.top + number * line, box.width, line) for number in range(8)]
            for row, (label, value) in zip(rows, self.readout(), strict=False):
                text(painter, row, label, self._colours.muted)
                text(painter, row, value, self._colours.text, "right")
            text(painter, rows[4], name, self._colours.above)
            last = rows[5:]
        else:
            said = "    ".join(f"{label} {value}" for label, value in self.readout())
            text(painter, Box(box.left, box.top, box.width, line), said, self._colours.text)
            legend = min(13 * line, box.width // 2)
            last = [Box(box.left, box.top + line, legend, line), None, Box(box.left + legend, box.top + line, box.width - legend, line)]
        if self.shown.by_slice:
            draw_legend(painter, last[0], self._colours, self.shown.view)
        if demo and last[1] is not None:
            text(painter, last[1], "DEMO MODEL", self._colours.demo)
        words = SHORT_NOTE if last[1] is not None or not demo else f"DEMO MODEL · {SHORT_NOTE}"
        text(
            painter,
            last[2],
            words,
            self._colours.demo if demo and last[1] is None else self._colours.muted,
            "left" if self.upright else "right",
        )
        if self.shown.sentence:
            painter.setPen(self._colours.text)
            sentence = Box(4, self.height - self._sentence_height(), self.width - 8, self._sentence_height())
            painter.drawText(rect(sentence), qt.Qt.TextWordWrap, self.shown.sentence)
