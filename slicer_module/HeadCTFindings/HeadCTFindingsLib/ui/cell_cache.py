"""Painted cells kept as pictures: scrolling and the repaint after a call copy them in place of painting 150 cells in Python."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import qt

_MOST = 1000


class CellCache:
    """Pictures by what they show; cleared by whoever changes colours or what a token stands for."""

    def __init__(self, ratio: Callable[[], float]) -> None:
        self._ratio = ratio
        self._pictures: dict[Hashable, qt.QPixmap] = {}

    def clear(self) -> None:
        """Forget all pictures."""
        self._pictures.clear()

    def draw(
        self, painter: qt.QPainter, box: qt.QRect, token: Hashable, ground: qt.QColor, paint: Callable[[qt.QPainter, qt.QRect], None]
    ) -> None:
        """Copy the picture of `token` into the box, made by `paint` on `ground` where there is none of this size yet."""
        ratio = self._ratio()
        where = (token, ground.rgba(), box.width(), box.height(), ratio)
        picture = self._pictures.get(where)
        if picture is None:
            if len(self._pictures) >= _MOST:
                self._pictures.clear()
            picture = self._pictures[where] = _made(box, ratio, ground, painter.font(), paint)
        painter.drawPixmap(box.left(), box.top(), picture)


def _made(box: qt.QRect, ratio: float, ground: qt.QColor, font: qt.QFont, paint: Callable[[qt.QPainter, qt.QRect], None]) -> qt.QPixmap:
    picture = qt.QPixmap(max(round(box.width() * ratio), 1), max(round(box.height() * ratio), 1))
    picture.setDevicePixelRatio(ratio)
    picture.fill(ground)
    painter = qt.QPainter(picture)
    try:
        painter.setFont(font)
        paint(painter, qt.QRect(0, 0, box.width(), box.height()))
    finally:
        painter.end()
    return picture
