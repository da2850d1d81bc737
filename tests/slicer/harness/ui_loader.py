"""`qt.QUiLoader` that makes the stand-ins for ctk and qMRML classes and wires a .ui file's connections to them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import slicer
from PySide6 import QtCore, QtUiTools

from .ctk_module import install as install_ctk
from .qt_module import install as install_qt

qt = install_qt()
_SLICER_PREFIXES = ("qMRML", "qSlicer")


class QUiLoader(QtUiTools.QUiLoader):
    """Loads Slicer's .ui files. Raises AttributeError for a class that the harness does not know."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._kept: list[Any] = []

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        if class_name.startswith("ctk"):
            widget = getattr(install_ctk(), class_name)(parent)
        elif class_name.startswith(_SLICER_PREFIXES):
            widget = getattr(slicer, class_name)(parent)
        else:
            return super().createWidget(class_name, parent, name)
        widget.setObjectName(name)
        self._kept.append(widget)
        return widget

    def load(self, device: Any, parent: Any = None) -> Any:
        tree = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = tree.find("connections")
        found = list(connections) if connections is not None else []
        if connections is not None:
            tree.remove(connections)
        buffer = qt.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is not None:
            for connection in found:
                self._connect(widget, connection)
            widget._harness_kept = self._kept
        return widget

    def _connect(self, top: Any, connection: Any) -> None:
        def named(role: str) -> Any:
            name = connection.findtext(role)
            found = top if top.objectName == name else top.findChild(qt.QWidget, name)
            if found is None:
                raise AttributeError(f"the .ui file connects {name}, which it does not hold")
            return found

        signal, slot = (connection.findtext(part).split("(")[0] for part in ("signal", "slot"))
        getattr(named("sender"), signal).connect(getattr(named("receiver"), slot))


def install_loader() -> None:
    """Put the loader into `qt`."""
    qt.QUiLoader = QUiLoader
