"""Finds what PythonQt would drop: delegates, models and event filters that Qt was given and no Python object holds.

PySide6 keeps a reference of its own at each of these setters; PythonQt does not, so there an unreferenced model vanishes and
an unreferenced delegate is dropped or crashes. The references are counted without those that PySide6 added.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets

SETTERS = {
    QtWidgets.QAbstractItemView: ("setModel", "setItemDelegate", "setItemDelegateForColumn", "setItemDelegateForRow"),
    QtWidgets.QTreeView: ("setModel",),
    QtWidgets.QTableView: ("setModel",),
    QtWidgets.QListView: ("setModel",),
    QtWidgets.QComboBox: ("setModel", "setItemDelegate"),
    QtWidgets.QLineEdit: ("setValidator", "setCompleter"),
    QtCore.QAbstractProxyModel: ("setSourceModel",),
    QtCore.QSortFilterProxyModel: ("setSourceModel",),
    QtCore.QObject: ("installEventFilter",),
}

_handed_over: list[tuple[weakref.ref[Any], int, str]] = []


def _watched(method: Callable[..., Any], where: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any) -> Any:
        given = args[-1]
        before = sys.getrefcount(given)
        result = method(self, *args)
        if isinstance(given, QtCore.QObject) and given is not self:
            _handed_over.append((weakref.ref(given), sys.getrefcount(given) - before, where))
        return result

    call.__name__ = method.__name__
    return call


def watch() -> None:
    """Wrap the setters. They may be virtual: C++ then calls the wrapper, which calls the class's own function directly."""
    for cls, names in SETTERS.items():
        for name in names:
            if name in vars(cls):
                setattr(cls, name, _watched(vars(cls)[name], f"{cls.__name__}.{name}"))


def dropped() -> list[str]:
    """A line for each object given to Qt since the last call that PythonQt would have dropped by now."""
    pending, lines = list(_handed_over), []
    _handed_over.clear()
    kept: dict[int, int] = {}
    for reference, added, _where in pending:
        kept[id(reference())] = kept.get(id(reference()), 0) + added
    for reference, _added, where in pending:
        given = reference()
        if given is None or not shiboken6.isValid(given):
            continue
        of_parent = 0 if shiboken6.ownedByPython(given) else 1
        held = sys.getrefcount(given) - 2 - kept[id(given)] - of_parent  # 2: this name and the argument of getrefcount
        plain = type(given).__module__.startswith("PySide6.")
        if held <= 0 and not (plain and of_parent):
            lines.append(f"{where}: nothing holds the {type(given).__name__}; PythonQt would drop it (keep it in an attribute)")
    return lines
