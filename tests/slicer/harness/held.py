"""Finds what PythonQt would drop: delegates, models and event filters that Qt was given and no Python object holds.

PySide6 keeps a reference of its own at each of these setters; PythonQt does not, so there an unreferenced model vanishes and
an unreferenced delegate is dropped or crashes. The references are counted without those that PySide6 added.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass
class _Given:
    """An object that a setter of `owner` (its id) was given, and how many references PySide6 added for that."""

    reference: weakref.ref[Any]
    owner: int
    where: str
    added: int


_handed_over: list[_Given] = []


def _watched(method: Callable[..., Any], where: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any) -> Any:
        given = args[-1]
        before = sys.getrefcount(given)
        result = method(self, *args)
        if isinstance(given, QtCore.QObject) and given is not self:
            for earlier in _handed_over:  # PySide6 holds one object for each setter, so it lets go of that of another column
                if (earlier.owner, earlier.where) == (id(self), where):
                    earlier.added = 0
            _handed_over.append(_Given(weakref.ref(given), id(self), where, sys.getrefcount(given) - before))
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
    added: dict[int, int] = {}
    for entry in pending:
        added[id(entry.reference())] = added.get(id(entry.reference()), 0) + entry.added
    for entry in pending:
        given = entry.reference()
        if given is None or not shiboken6.isValid(given):
            continue
        of_parent = 0 if shiboken6.ownedByPython(given) else 1
        held = sys.getrefcount(given) - 2 - added[id(given)] - of_parent  # 2: this name and the argument of getrefcount
        plain = type(given).__module__.startswith("PySide6.")
        if held <= 0 and not (plain and of_parent):
            lines.append(f"{entry.where}: nothing holds the {type(given).__name__}; PythonQt would drop it (keep it in an attribute)")
    return lines
