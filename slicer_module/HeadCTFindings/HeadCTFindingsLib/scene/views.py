"""The slice view that everything here looks at: Red, which is axial unless somebody turned it."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk

VIEW = "Red"


def slice_logic() -> Any | None:
    """The view's logic; None where there is no main window, as under `--no-main-window`."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(VIEW) if manager is not None else None
    return widget.sliceLogic() if widget is not None else None


def slice_node() -> Any | None:
    """The view's vtkMRMLSliceNode."""
    logic = slice_logic()
    return logic.GetSliceNode() if logic is not None else None


def slice_view() -> Any | None:
    """The widget in which the slice is drawn."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(VIEW) if manager is not None else None
    return widget.sliceView() if widget is not None else None


def renderer() -> Any | None:
    """Where own actors of the view go."""
    view = slice_view()
    return view.renderWindow().GetRenderers().GetFirstRenderer() if view is not None else None


def render_soon() -> None:
    """Asks the view to draw itself when the event loop comes to it."""
    view = slice_view()
    if view is not None:
        view.scheduleRender()


def to_array(matrix: Any) -> np.ndarray:
    """A vtkMatrix4x4 as (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def to_matrix(array: np.ndarray) -> Any:
    """A (4, 4) array as vtkMatrix4x4."""
    made = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            made.SetElement(row, column, float(array[row, column]))
    return made
