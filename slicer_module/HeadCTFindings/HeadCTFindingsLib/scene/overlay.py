"""Slice number, attention and evidence in the corner of the slice view, and the attention as a strip at its edge.

Own actors: the corner annotation of Slicer is overwritten by its data probe at every movement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk

from . import views

_WIDTH = 0.02  # of the view
_BAR = (0.96, 0.9, 0.25)
_CURSOR = (1.0, 0.45, 0.1)


class Overlay:
    """`show(text, attention, index)` while it is on; `remove()` leaves nothing in the view."""

    def __init__(self) -> None:
        self._text = vtk.vtkTextActor()
        self._text.GetTextProperty().SetFontSize(14)
        self._text.GetTextProperty().SetColor(1.0, 1.0, 0.6)
        self._text.GetTextProperty().SetShadow(1)
        self._text.GetTextProperty().SetVerticalJustificationToTop()
        place = self._text.GetPositionCoordinate()
        place.SetCoordinateSystemToNormalizedViewport()
        place.SetValue(0.02, 0.97)
        self._strip, self._strip_shape = _actor(_BAR)
        self._cursor, self._cursor_shape = _actor(_CURSOR)
        self._renderer: Any | None = None

    @property
    def text(self) -> str:
        """What stands in the corner."""
        return str(self._text.GetInput() or "")

    @property
    def shown(self) -> bool:
        """Whether the actors are in the view."""
        return self._renderer is not None

    def show(self, text: str, attention: np.ndarray, index: int | None) -> None:
        """Lines of text, attention (S,) of the model slices from below to above, and where the view is."""
        self._text.SetInput(text)
        _rectangles(self._strip_shape, _attention_bars(attention))
        _rectangles(self._cursor_shape, _cursor_bar(len(attention), index))
        if self._renderer is None:
            self._renderer = views.renderer()
            for actor in self._actors if self._renderer is not None else ():
                self._renderer.AddViewProp(actor)
        views.render_soon()

    def remove(self) -> None:
        """Takes the actors out of the view."""
        if self._renderer is not None:
            for actor in self._actors:
                self._renderer.RemoveViewProp(actor)
            self._renderer = None
            views.render_soon()

    @property
    def _actors(self) -> tuple[Any, ...]:
        return self._strip, self._cursor, self._text


def _actor(colour: tuple[float, float, float]) -> tuple[Any, Any]:
    shape, mapper, actor = vtk.vtkPolyData(), vtk.vtkPolyDataMapper2D(), vtk.vtkActor2D()
    where = vtk.vtkCoordinate()
    where.SetCoordinateSystemToNormalizedViewport()
    mapper.SetTransformCoordinate(where)
    mapper.SetInputData(shape)
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*colour)
    return actor, shape


def _attention_bars(attention: np.ndarray) -> list[tuple[float, float, float, float]]:
    """One bar for each slice at the right edge, as long as its share of the largest attention."""
    most = float(attention.max(initial=0.0))
    if most <= 0:
        return []
    step = 0.9 / len(attention)
    return [(1 - 4 * _WIDTH * value / most, 0.05 + step * n, 1.0, 0.05 + step * (n + 0.8)) for n, value in enumerate(attention)]


def _cursor_bar(slices: int, index: int | None) -> list[tuple[float, float, float, float]]:
    if index is None or not slices:
        return []
    middle = 0.05 + 0.9 / slices * (index + 0.4)
    return [(1 - 5 * _WIDTH, middle - 0.002, 1.0, middle + 0.002)]


def _rectangles(shape: Any, boxes: list[tuple[float, float, float, float]]) -> None:
    points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    for left, bottom, right, top in boxes:
        first = points.InsertNextPoint(left, bottom, 0)
        for x, y in ((right, bottom), (right, top), (left, top)):
            points.InsertNextPoint(x, y, 0)
        cells.InsertNextCell(4)
        for corner in range(4):
            cells.InsertCellPoint(first + corner)
    shape.SetPoints(points)
    shape.SetPolys(cells)
