"""A slice view without OpenGL: the slice logic's CPU image in a widget, and the 2D actors that a module adds on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .qt_module import install as install_qt
from .strict import Strict, observe

qt = install_qt()


def image_of(logic: Any) -> np.ndarray:
    """(height, width, 4) uint8 RGBA of a vtkMRMLSliceLogic, top row first; black where it shows no volume."""
    width, height, _ = logic.GetSliceNode().GetDimensions()
    connection = logic.GetImageDataConnection()
    if connection is None or not logic.GetSliceCompositeNode().GetBackgroundVolumeID():
        return np.dstack([np.zeros((height, width, 3), np.uint8), np.full((height, width), 255, np.uint8)])
    producer = connection.GetProducer()
    producer.Update()
    image = producer.GetOutputDataObject(connection.GetIndex())
    columns, rows, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1]
    if pixels.shape[2] == 3:
        pixels = np.dstack([pixels, np.full((rows, columns), 255, np.uint8)])
    pixels = np.ascontiguousarray(pixels)
    pixels[..., 3] = 255
    return pixels


class qMRMLSliceView(Strict, qt.QWidget):
    """Draws a slice logic's image; `renderWindow()` is a real one for actors, never rendered by OpenGL."""

    def __init__(self, logic: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = logic
        self._window = vtk.vtkGenericOpenGLRenderWindow()
        self._renderer = vtk.vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._annotation = vtk.vtkCornerAnnotation()
        self._renderer.AddViewProp(self._annotation)
        for subject in (logic, logic.GetSliceNode(), logic.GetSliceCompositeNode()):
            observe(self, subject, vtk.vtkCommand.ModifiedEvent, "update")
        self.setMinimumSize(120, 120)
        self.setFocusPolicy(qt.Qt.StrongFocus)

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def renderWindow(self) -> Any:
        return self._window

    def cornerAnnotation(self) -> Any:
        return self._annotation

    def scheduleRender(self) -> None:
        self.update()

    def forceRender(self) -> None:
        self.repaint()

    def resizeEvent(self, event: Any) -> None:
        self._logic.ResizeSliceNode(max(1, self.width), max(1, self.height))
        self._window.SetSize(self.width, self.height)

    def wheelEvent(self, event: Any) -> None:
        """One slice of the volume a notch, as Slicer's slice view scrolls."""
        step = self._logic.GetLowestVolumeSliceSpacing()[2] or 1.0
        notches = 1 if event.angleDelta().y() > 0 else -1
        self._logic.SetSliceOffset(self._logic.GetSliceOffset() + notches * step)
        event.accept()

    def paintEvent(self, event: Any) -> None:
        pixels = image_of(self._logic)
        image = qt.QImage(pixels.tobytes(), pixels.shape[1], pixels.shape[0], qt.QImage.Format_RGBA8888)
        painter = qt.QPainter(self)
        painter.drawImage(self.rect, image)
        for prop in self._renderer.GetViewProps():
            if prop.GetVisibility():
                self._draw(painter, prop)
        painter.end()

    def _draw(self, painter: Any, prop: Any) -> None:
        if isinstance(prop, vtk.vtkTextActor):
            self._draw_text(painter, prop)
        elif type(prop) is vtk.vtkActor2D and isinstance(prop.GetMapper(), vtk.vtkPolyDataMapper2D):
            self._draw_shapes(painter, prop)

    def _place(self, actor: Any) -> tuple[float, float]:
        return tuple(actor.GetPositionCoordinate().GetComputedDoubleViewportValue(self._renderer))

    def _draw_text(self, painter: Any, actor: Any) -> None:
        style = actor.GetTextProperty()
        font = qt.QFont(self.font)
        font.setPixelSize(max(8, style.GetFontSize()))
        painter.setFont(font)
        colour = qt.QColor.fromRgbF(*style.GetColor(), style.GetOpacity())
        painter.setPen(colour)
        x, y = self._place(actor)
        lines = (actor.GetInput() or "").split("\n")
        step = painter.fontMetrics().height()
        top = y if style.GetVerticalJustification() == 2 else y + (len(lines) - 1) * step
        for number, line in enumerate(lines):
            width = painter.fontMetrics().horizontalAdvance(line)
            left = x - width * (0, 0.5, 1)[style.GetJustification()]
            painter.drawText(
                qt.QPointF(left, self.height - top + (number + (0.8 if style.GetVerticalJustification() == 2 else 0)) * step), line
            )

    def _in_pixels(self, actor: Any, mapper: Any, points: np.ndarray) -> np.ndarray:
        """(n, 2) pixels from the lower left corner, of points (n, 3) in the coordinates that the mapper names (pixels by default)."""
        coordinate = mapper.GetTransformCoordinate()
        if coordinate is None:
            return points[:, :2] + self._place(actor)
        placed = []
        for point in points:
            coordinate.SetValue(*(float(value) for value in point))
            placed.append(coordinate.GetComputedDoubleViewportValue(self._renderer)[:2])
        return np.array(placed) + self._place(actor)

    def _draw_shapes(self, painter: Any, actor: Any) -> None:
        mapper = actor.GetMapper()
        mapper.Update()
        data = mapper.GetInput()
        if data is None or data.GetNumberOfPoints() == 0:
            return
        points = self._in_pixels(actor, mapper, vtk_to_numpy(data.GetPoints().GetData()))
        colours = data.GetCellData().GetScalars()
        for cell in range(data.GetNumberOfCells()):
            ids = data.GetCell(cell).GetPointIds()
            if colours is None:
                colour = qt.QColor.fromRgbF(*actor.GetProperty().GetColor(), actor.GetProperty().GetOpacity())
            else:
                colour = qt.QColor(*(int(value) for value in colours.GetTuple(cell)))
            corners = [qt.QPointF(points[ids.GetId(i), 0], self.height - points[ids.GetId(i), 1]) for i in range(ids.GetNumberOfIds())]
            painter.setPen(colour)
            painter.setBrush(colour)
            if len(corners) > 2:
                painter.drawPolygon(qt.QPolygonF(corners))
            else:
                painter.drawPolyline(qt.QPolygonF(corners))
