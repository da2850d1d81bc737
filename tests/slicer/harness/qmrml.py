"""Stand-ins for the widgets that Slicer hangs into its `slicer` name space (qMRML...)."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore

from .qt_module import install as install_qt
from .slice_view import qMRMLSliceView
from .strict import Strict, observe

qt = install_qt()


class qMRMLWidget(Strict, qt.QWidget):
    """The top widget of a module panel: hands the scene on."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._scene = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


def _flag(name: str) -> Any:
    return QtCore.Property(bool, lambda self: self._flags[name], lambda self, value: self._set_flag(name, value))


class qMRMLNodeComboBox(Strict, qt.QWidget):
    """Chooses a node of the scene by class; kept up to date by the scene's events."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._scene: Any = None
        self._tags: list[int] = []
        self._types: list[str] = []
        self._flags = {"addEnabled": True, "removeEnabled": True, "renameEnabled": False, "editEnabled": False, "noneEnabled": False}
        self._flags |= {"showHidden": False, "showChildNodeTypes": True, "selectNodeUponCreation": True}
        self._ids: list[str | None] = []
        self._box = qt.QComboBox(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.currentIndexChanged.connect(self._index_changed)
        self._box.activated.connect(self._activated)

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent, slicer.vtkMRMLScene.EndCloseEvent)
        self._tags = [observe(self, scene, event, "_fill") for event in events] if scene is not None else []
        self._fill()

    def mrmlScene(self) -> Any:
        return self._scene

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        exact = not self._flags["showChildNodeTypes"]
        chosen = [n for n in nodes if any(n.GetClassName() == t if exact else n.IsA(t) for t in self._types)]
        return [n for n in chosen if self._flags["showHidden"] or not n.GetHideFromEditors()]

    def _fill(self) -> None:
        before = self._current_id()
        nodes = self._nodes()
        self._ids = ([None] if self._flags["noneEnabled"] else []) + [n.GetID() for n in nodes]
        self._box.blockSignals(True)
        self._box.clear()
        if self._flags["noneEnabled"]:
            self._box.addItem("None")
        for node in nodes:
            self._box.addItem(node.GetName())
        self._box.setCurrentIndex(self._ids.index(before) if before in self._ids else (0 if self._ids else -1))
        self._box.blockSignals(False)
        if self._current_id() != before:
            self._index_changed()

    def _current_id(self) -> str | None:
        index = self._box.currentIndex
        return self._ids[index] if 0 <= index < len(self._ids) else None

    def _index_changed(self, *_: Any) -> None:
        self.currentNodeChanged.emit(self.currentNode())
        self.currentNodeIDChanged.emit(self._current_id() or "")

    def _activated(self, *_: Any) -> None:
        self.nodeActivated.emit(self.currentNode())

    def currentNode(self) -> Any:
        chosen = self._current_id()
        return self._scene.GetNodeByID(chosen) if chosen else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        wanted = node_id or None
        self._box.setCurrentIndex(self._ids.index(wanted) if wanted in self._ids else -1)

    def nodeCount(self) -> int:
        return len(self._nodes())

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _set_flag(self, name: str, value: bool) -> None:
        self._flags[name] = value
        self._fill()

    nodeTypes = QtCore.Property("QStringList", lambda self: self._types, _set_types)
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    renameEnabled = _flag("renameEnabled")
    editEnabled = _flag("editEnabled")
    noneEnabled = _flag("noneEnabled")
    showHidden = _flag("showHidden")
    showChildNodeTypes = _flag("showChildNodeTypes")
    selectNodeUponCreation = _flag("selectNodeUponCreation")
    currentNodeID = QtCore.Property(str, lambda self: self._current_id() or "", setCurrentNodeID)


class qMRMLSliceControllerWidget(Strict, qt.QWidget):
    """The bar over a slice view: its offset slider."""

    def __init__(self, logic: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = logic
        self.setFixedHeight(18)

    def sliceOffsetSlider(self) -> Any:
        raise AttributeError("the harness has no slice offset slider: turn the wheel over the slice view")

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        colour = {"Red": "#F34A33", "Yellow": "#EDD54C", "Green": "#6EB04B"}.get(self._logic.GetSliceNode().GetLayoutName(), "#888888")
        painter.fillRect(self.rect, qt.QColor(colour))
        painter.setPen(qt.QColor("#000000"))
        text = f"{self._logic.GetSliceNode().GetLayoutName()[0]}: {self._logic.GetSliceOffset():.1f} mm"
        painter.drawText(qt.QPointF(6, 13), text)
        painter.end()


class qMRMLSliceWidget(Strict, qt.QWidget):
    """Controller and view of one slice."""

    def __init__(self, logic: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = logic
        self._controller = qMRMLSliceControllerWidget(logic, self)
        self._view = qMRMLSliceView(logic, self)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._controller)
        layout.addWidget(self._view)
        self._tag = observe(self._controller, logic.GetSliceNode(), vtk.vtkCommand.ModifiedEvent, "update")

    def sliceLogic(self) -> Any:
        return self._logic

    def sliceView(self) -> Any:
        return self._view

    def sliceController(self) -> Any:
        return self._controller

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()


class qSlicerSingletonViewFactory(Strict, qt.QObject):
    """Puts a module's own widget into a layout under a tag name."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tag = ""
        self._widget: Any = None

    def setTagName(self, name: str) -> None:
        self._tag = name

    def tagName(self) -> str:
        return self._tag

    def setWidget(self, widget: Any) -> None:
        self._widget = widget

    def widget(self) -> Any:
        return self._widget


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The C++ side of a scripted module's widget; `self()` is the Python side."""

    def self(self) -> Any:
        return self._python

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._python: Any = None


class qSlicerScriptedLoadableModule(Strict, qt.QObject):
    """The C++ side of a scripted module: what the module's constructor describes, and its one widget."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._path = path
        self._widget: Any = None

    title = ""
    categories: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    helpText = ""
    acknowledgementText = ""
    icon = None
    hidden = False
    path = property(lambda self: self._path)

    def widgetRepresentation(self) -> Any:
        return self._widget


CLASSES = (
    qMRMLWidget,
    qMRMLNodeComboBox,
    qMRMLSliceControllerWidget,
    qMRMLSliceView,
    qMRMLSliceWidget,
    qSlicerSingletonViewFactory,
    qSlicerScriptedLoadableModule,
    qSlicerScriptedLoadableModuleWidget,
)
