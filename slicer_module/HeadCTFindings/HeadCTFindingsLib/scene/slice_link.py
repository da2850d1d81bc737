"""The slice view and the model's slices, tied together in both ways through the patient's space.

The view's plane goes to the model's frame in RAS, never through spacing: scans are oblique, tilted and flipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import vtk

from ..core.frame import Frame, view_normal
from . import views


class SliceLink:
    """`moved(index)` is called with the model slice in the view, None outside of what the model saw; once for many movements."""

    def __init__(self, moved: Callable[[int | None], None]) -> None:
        self._moved = moved
        self._frame: Frame | None = None
        self._observed: tuple[Any, int] | None = None
        self._last: int | None = None
        # Dragging sends many events within one turn of the event loop; the cursor has to move once.
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._look)

    def start(self) -> None:
        """Observes the view; again is harmless."""
        node = views.slice_node()
        if self._observed is None and node is not None:
            self._observed = (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._changed))
        self._look()

    def stop(self) -> None:
        """Takes the observer away."""
        self._soon.stop()
        if self._observed is not None:
            node, tag = self._observed
            node.RemoveObserver(tag)
            self._observed = None

    def show(self, frame: Frame | None) -> None:
        """Ties the view to another prediction's frame, or to none."""
        self._frame, self._last = frame, None
        self._look()

    @property
    def index(self) -> int | None:
        """The model slice that the view shows, wherever it was moved in its own plane."""
        node = views.slice_node()
        if self._frame is None or node is None:
            return None
        return self._frame.index_of_view(views.to_array(node.GetSliceToRAS()))

    def jump(self, index: int) -> None:
        """Moves the view to a model slice, however the view is turned."""
        logic = views.slice_logic()
        if self._frame is None or logic is None:
            return
        normal = view_normal(views.to_array(logic.GetSliceNode().GetSliceToRAS()))
        logic.SetSliceOffset(self._frame.offset(index, normal))

    def _changed(self, *_arguments: Any) -> None:
        if not self._soon.active:
            self._soon.start()

    def _look(self, *_arguments: Any) -> None:
        index = self.index
        if index != self._last:
            self._last = index
            self._moved(index)
