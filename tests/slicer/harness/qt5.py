"""Takes away what only Qt 6 or PySide6 has: Slicer 5.10 and 5.12 are built with Qt 5.15, and no test there would show it.

The names are those of the classes that a panel uses and that PyQt5 5.15 does not have (compared member by member). Virtual
functions and signals are left alone.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

INSTEAD = "Slicer 5.12 has Qt 5.15"
_CAME_WITH_QT_6 = """
QDirListing QEventPoint QHttpHeaders QInputDevice QIODeviceBase QKeyCombination QNetworkInformation QOverrideCursorGuard
QPointerEvent QPointingDevice QRestAccessManager QSinglePointEvent QStringConverter
"""
MODULE_NAMES = dict.fromkeys(_CAME_WITH_QT_6.split(), f"{INSTEAD}; it came with Qt 6")
_EVENT = ("position", "globalPosition", "scenePosition", "point", "points", "pointCount", "device", "pointingDevice")
MEMBERS: dict[type, tuple[str, ...]] = {
    QtGui.QMouseEvent: _EVENT,
    QtGui.QEnterEvent: (*_EVENT, "button", "buttons", "modifiers"),
    QtGui.QHoverEvent: (*_EVENT, "button", "buttons"),
    QtGui.QDropEvent: ("position", "buttons", "modifiers"),
    QtGui.QWheelEvent: ("scenePosition", "point", "points", "button", "device", "pointingDevice"),
    QtGui.QKeyEvent: ("keyCombination",),
    QtGui.QColor: ("fromString", "isValidColorName", "toTuple"),
    QtGui.QImage: ("deviceIndependentSize", "mirror", "rgbSwap"),
    QtGui.QPixmap: ("deviceIndependentSize",),
    QtGui.QPalette: ("accent",),
    QtGui.QShortcut: ("keys", "setKeys"),
    QtGui.QStyleHints: ("colorScheme", "setColorScheme"),
    QtCore.QAbstractItemModel: ("clearItemData",),
    QtCore.QSortFilterProxyModel: ("setAutoAcceptChildRows", "invalidateColumnsFilter", "invalidateRowsFilter"),
    QtCore.QModelIndex: ("multiData",),
    QtCore.QPoint: ("toTuple", "toPointF"),
    QtCore.QSize: ("toTuple", "toSizeF"),
    QtCore.QRect: ("toRectF", "span"),
    QtCore.QDateTime: ("toPython",),
    QtCore.QTimer: ("id",),
    QtWidgets.QAbstractItemView: ("itemDelegateForIndex",),
    QtWidgets.QFormLayout: ("setRowVisible", "isRowVisible"),
    QtWidgets.QHeaderView: ("setSortIndicatorClearable",),
    QtWidgets.QMessageBox: ("setOption", "setOptions"),
}


class _Absent:
    def __init__(self, where: str) -> None:
        self.where = where

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        raise AttributeError(f"{self.where} does not exist: {INSTEAD}")


def take_away() -> None:
    """Make the names raise AttributeError."""
    for cls, names in MEMBERS.items():
        for name in names:
            if not hasattr(cls, name):
                raise AttributeError(f"{cls.__name__}.{name} is not in this PySide6: take it off the list")
            setattr(cls, name, _Absent(f"{cls.__name__}.{name}"))
