"""PySide6's classes, patched to behave as PythonQt's do (the rules are in docs/slicer_development.md).

Properties are properties, keyword arguments and foreign attributes are refused, and what only PySide6 has is taken
away. Everything here was compared with PythonQt 4.1.0 on Qt 5.15; it is stricter than PythonQt in places, never
knowingly more lenient, apart from what the lint has to find (`super().method()`); held.py finds lost references.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

from . import held, qt5

QT_MODULES: tuple[ModuleType, ...] = (QtCore, QtGui, QtWidgets, QtNetwork, QtUiTools)

# Virtual methods may not be wrapped (C++ would take the wrapper for an override), so this names methods that are not.
POSITIONAL_ONLY = {
    QtWidgets.QBoxLayout: ("addWidget", "addLayout", "addSpacing", "addStretch", "insertWidget", "insertLayout", "setStretch"),
    QtWidgets.QGridLayout: ("addWidget", "addLayout"),
    QtWidgets.QFormLayout: ("addRow", "insertRow"),
    QtWidgets.QAbstractItemView: ("scrollTo",),
    QtWidgets.QComboBox: ("addItem", "addItems", "insertItem", "findData", "findText", "itemData"),
    QtWidgets.QTabWidget: ("addTab", "insertTab"),
    QtWidgets.QMenu: ("addAction", "addMenu"),
    QtGui.QStandardItem: ("appendRow", "setChild", "child", "setText"),
}


def classes() -> list[type]:
    """Every class that PySide6 wraps in the modules that `qt` is made of."""
    found = {value for _name, value in flat_names() if isinstance(value, type)}
    return sorted((cls for cls in found if issubclass(cls, shiboken6.Shiboken.Object)), key=lambda cls: len(cls.__mro__))


def _is_plain_qt(cls: type) -> bool:
    return cls.__module__.startswith("PySide6.")


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


class QtProperty(property):
    """A property of instances. The class keeps what it had under the name: `QTimer.singleShot(0, f)`, `QWidget.sizeHint(self)`."""

    of_class: Any = None

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.of_class if instance is None else super().__get__(instance, owner)


def _as_property(cls: type, name: str, writable: bool) -> property:
    named = getattr(cls, name, None)
    # isSingleShot before singleShot, which is a static function of another meaning.
    getter = next((found for found in (getattr(cls, f"is{_capital(name)}", None), named) if callable(found)), None)
    setter = getattr(cls, f"set{_capital(name)}", None) if writable else None

    def get(self: Any) -> Any:
        return getter(self) if getter is not None else self.property(name)

    def set_(self: Any, value: Any) -> None:
        if setter is not None:
            setter(self, value)
        else:
            self.setProperty(name, value)

    made = QtProperty(get, set_ if writable else None, doc=f"Property {name} of {cls.__name__}")
    made.of_class = named
    return made


def _patch_properties(cls: type) -> int:
    meta = getattr(cls, "staticMetaObject", None)
    if meta is None or not issubclass(cls, QtCore.QObject):
        return 0
    made = {}
    for index in range(meta.propertyCount()):
        entry = meta.property(index)
        # Its own properties, and those of its bases whose getter it defines anew (QLabel.sizeHint).
        if index >= meta.propertyOffset() or entry.name() in vars(cls):
            made[entry.name()] = _as_property(cls, entry.name(), entry.isWritable())
    for name, value in made.items():
        setattr(cls, name, value)
    return len(made)


def _patch_constructor(cls: type) -> None:
    original = cls.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **keywords: Any) -> None:
        if keywords:
            raise TypeError(f"{cls.__name__} takes no keyword arguments in PythonQt, not {', '.join(keywords)}")
        original(self, *args)

    cls.__init__ = init  # type: ignore[misc]


def _set_attribute(self: Any, name: str, value: Any) -> None:
    kind = type(self)
    described = next((vars(cls)[name] for cls in kind.__mro__ if name in vars(cls)), None)
    if hasattr(described, "__set__"):
        described.__set__(self, value)
    elif isinstance(described, QtCore.Property):  # of the stand-ins for ctk and qMRML; it is no Python descriptor
        described.fset(self, value)
    elif _is_plain_qt(kind) and not isinstance(value, QtCore.SignalInstance):  # PySide6 keeps signals of C++ objects so
        raise AttributeError(f"{kind.__name__} has no property {name}: PythonQt takes new attributes on Python subclasses only")
    else:
        vars(self)[name] = value  # no __setattr__ of a base is left that Python would let us call


def _positional(method: Callable[..., Any], where: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(f"{where} takes no keyword arguments in PythonQt, not {', '.join(keywords)}")
        return method(self, *args)

    return call


def _refuse(where: str, instead: str) -> Callable[..., Any]:
    def refused(*_args: Any, **_keywords: Any) -> Any:
        raise TypeError(f"{where} is not in PythonQt: {instead}")

    return refused


def _patch_image() -> None:
    strict = QtGui.QImage.__init__

    def init(self: Any, *args: Any) -> None:
        if args and isinstance(args[0], bytes | bytearray | memoryview):
            if len(args) != 4:
                raise TypeError("PythonQt has no QImage(bytes, width, height, bytesPerLine, format): use RGBA8888 without bytesPerLine")
            if args[3] not in (QtGui.QImage.Format.Format_RGBA8888, QtGui.QImage.Format.Format_ARGB32, QtGui.QImage.Format.Format_RGB32):
                raise TypeError("rows of this format are padded to four bytes: use QImage.Format_RGBA8888")
        strict(self, *args)

    QtGui.QImage.__init__ = init  # type: ignore[method-assign]


def _patch_name() -> None:
    """Slicer's PythonQt has `name` beside `objectName`; `childWidgetVariables` of slicer.util reads it."""
    QtCore.QObject.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))


@functools.cache
def patch() -> int:
    """Patch PySide6 in this process, once. Returns how many properties were made (read where a shim test counts them)."""
    every = classes()
    made = sum(_patch_properties(cls) for cls in every)
    for cls in every:
        if "__init__" in vars(cls):
            _patch_constructor(cls)
        if "__setattr__" in vars(cls):
            cls.__setattr__ = _set_attribute
        if "__enter__" in vars(cls):
            cls.__enter__ = _refuse(f"`with {cls.__name__}(...)`", "end or unblock it explicitly")
    for cls, names in POSITIONAL_ONLY.items():
        for name in names:
            setattr(cls, name, _positional(getattr(cls, name), f"{cls.__name__}.{name}"))
    QtCore.QObject.connect = _refuse("connect by a signal's text", "use object.signal.connect(function)")
    _patch_image()
    _patch_name()
    held.watch()
    qt5.take_away()
    return made


def flat_names() -> Iterable[tuple[str, Any]]:
    """Everything that the `qt` module of Slicer holds in one flat name space."""
    for module in QT_MODULES:
        for name in dir(module):  # vars() would miss the classes that PySide6 makes at first use
            if not name.startswith("_"):
                yield name, getattr(module, name)
