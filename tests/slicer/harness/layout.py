"""The layout manager: Slicer's real layout descriptions, shown as splitters of slice views and registered widgets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import vtk

from .qmrml import qMRMLSliceWidget
from .qt_module import install as install_qt
from .strict import Strict, observe

qt = install_qt()


class qSlicerLayoutManager(Strict, qt.QObject):
    """Slice widgets by name and the current arrangement in `viewport`."""

    def __init__(self, scene: Any) -> None:
        super().__init__()
        self._scene = scene
        self._viewport = qt.QWidget()
        self._viewport.setObjectName("CentralWidgetLayoutFrame")
        self._unused = qt.QWidget(self._viewport)  # the parent of what the current layout does not show
        self._unused.hide()
        qt.QVBoxLayout(self._viewport).setContentsMargins(0, 0, 0, 0)
        self._slices = {name: qMRMLSliceWidget(logic) for name, logic in scene.slice_logics.items()}
        self._factories: dict[str, Any] = {}
        self._holders: list[Any] = []
        self._shown = ""
        self._node = scene.layout_logic.GetLayoutNode()
        observe(self, self._node, vtk.vtkCommand.ModifiedEvent, "_arrange")
        self._arrange()

    def viewport(self) -> Any:
        return self._viewport

    def sliceWidget(self, name: str) -> Any:
        return self._slices.get(name)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slices)

    def mrmlSliceLogics(self) -> Any:
        return self._scene.slice_logic_list

    def layoutLogic(self) -> Any:
        return self._scene.layout_logic

    def registerViewFactory(self, factory: Any) -> None:
        self._factories[factory.tagName()] = factory
        self._arrange()

    def viewFactory(self, tag: str) -> Any:
        return self._factories.get(tag)

    def unregisterViewFactory(self, factory: Any) -> None:
        self._factories.pop(factory.tagName(), None)

    def setLayout(self, number: int) -> None:
        self._node.SetViewArrangement(number)

    layout = property(lambda self: self._node.GetViewArrangement(), setLayout)

    threeDViewCount = 0

    def threeDWidget(self, number: int) -> Any:
        return None

    def resetSliceViews(self) -> None:
        for logic in self._scene.slice_logics.values():
            logic.FitSliceToBackground()

    def _arrange(self) -> None:
        description = self._node.GetCurrentLayoutDescription() or '<layout type="horizontal"></layout>'
        root = ElementTree.fromstring(description)
        key = description + "|" + ",".join(sorted(self._factories))
        if key == self._shown:
            return
        self._shown = key
        for widget in self._own_widgets():
            widget.setParent(self._unused)
        box = self._viewport.layout()
        for holder in self._holders:
            box.removeWidget(holder)
            holder.deleteLater()
        self._holders = [self._build(root)]
        box.addWidget(self._holders[0])

    def _own_widgets(self) -> list[Any]:
        return [*self._slices.values(), *(factory.widget() for factory in self._factories.values() if factory.widget() is not None)]

    def _build(self, element: Any) -> Any:
        """The widget of a <layout>, <view> or registered element."""
        if element.tag == "layout":
            across = element.get("type", "horizontal") != "vertical"
            holder = qt.QSplitter(qt.Qt.Horizontal if across else qt.Qt.Vertical)
            for item in element.findall("item"):
                for child in item:
                    holder.addWidget(self._build(child))
            holder.setSizes([int(item.get("splitSize", "500")) for item in element.findall("item")])
            return holder
        widget = None
        if element.tag == "view" and element.get("class") == "vtkMRMLSliceNode":
            widget = self._slices.get(element.get("singletontag", ""))
        elif element.tag in self._factories:
            widget = self._factories[element.tag].widget()
        if widget is None:
            return qt.QFrame()
        widget.show()
        return widget
