"""The module `ctk`: the few widgets that the module uses. Anything else raises, so that a new one is added knowingly."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from PySide6 import QtCore

from . import dialogs
from .qt_module import install as install_qt
from .strict import Strict

qt = install_qt()


class ctkCollapsibleButton(Strict, qt.QWidget):
    """A heading that shows and hides what is laid out below it."""

    contentsCollapsed = QtCore.Signal(bool)
    toggled = QtCore.Signal(bool)
    clicked = QtCore.Signal(bool)

    def __init__(self, *args: Any) -> None:
        text = args[0] if args and isinstance(args[0], str) else ""
        super().__init__(*[arg for arg in args if not isinstance(arg, str)])
        self._text = text
        self._collapsed = False
        self._button = qt.QToolButton(self)
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(qt.Qt.ToolButtonTextBesideIcon)
        self._button.clicked.connect(self._click)
        self.setContentsMargins(0, 24, 0, 0)
        self._show()

    def _click(self, *_: Any) -> None:
        self._set_collapsed(not self._collapsed)
        self.clicked.emit(not self._collapsed)

    def _show(self) -> None:
        self._button.setText(self._text)
        self._button.setArrowType(qt.Qt.RightArrow if self._collapsed else qt.Qt.DownArrow)
        self._button.adjustSize()
        for child in self.children():
            if isinstance(child, qt.QWidget) and child is not self._button:
                child.setVisible(not self._collapsed)
        self.setMaximumHeight(24 if self._collapsed else 16777215)
        self.setMinimumHeight(24)

    def _set_text(self, value: str) -> None:
        self._text = value
        self._show()

    def _set_collapsed(self, value: bool) -> None:
        changed = value != self._collapsed
        self._collapsed = value
        self._show()
        if changed:
            self.contentsCollapsed.emit(value)
            self.toggled.emit(not value)

    text = QtCore.Property(str, lambda self: self._text, _set_text)
    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)
    checked = QtCore.Property(bool, lambda self: not self._collapsed, lambda self, value: self._set_collapsed(not value))


class ctkCollapsibleGroupBox(Strict, qt.QGroupBox):
    """A group box that can be closed."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._collapsed = False

    def _set_collapsed(self, value: bool) -> None:
        self._collapsed = value
        for child in self.children():
            if isinstance(child, qt.QWidget):
                child.setVisible(not value)

    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)


class ctkSliderWidget(Strict, qt.QWidget):
    """A slider with a spin box; the module sets it by properties."""

    valueChanged = QtCore.Signal(float)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._box = qt.QDoubleSpinBox(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(self.valueChanged.emit)

    value = QtCore.Property(float, lambda self: self._box.value, lambda self, value: self._box.setValue(value))
    minimum = QtCore.Property(float, lambda self: self._box.minimum, lambda self, value: self._box.setMinimum(value))
    maximum = QtCore.Property(float, lambda self: self._box.maximum, lambda self, value: self._box.setMaximum(value))
    singleStep = QtCore.Property(float, lambda self: self._box.singleStep, lambda self, value: self._box.setSingleStep(value))
    decimals = QtCore.Property(int, lambda self: self._box.decimals, lambda self, value: self._box.setDecimals(value))
    suffix = QtCore.Property(str, lambda self: self._box.suffix, lambda self, value: self._box.setSuffix(value))


class ctkComboBox(Strict, qt.QComboBox):
    """A combo box with a default text."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._default = ""

    defaultText = QtCore.Property(str, lambda self: self._default, lambda self, value: setattr(self, "_default", value))


class ctkMessageBox(Strict, qt.QMessageBox):
    """The message box behind slicer.util's dialogs: never shown, answered by the test (see dialogs.py)."""

    dontShowAgainSettingsKey = ""

    def exec_(self) -> Any:
        return dialogs.answer(self.windowTitle, self.text)

    exec = exec_


class _Ctk(ModuleType):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the harness knows no ctk.{name}: add a stand-in to tests/slicer/harness/ctk_module.py")


CLASSES = (ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkSliderWidget, ctkComboBox, ctkMessageBox)


def install() -> ModuleType:
    """Put the module `ctk` into sys.modules, once, and return it."""
    if "ctk" not in sys.modules:
        module = _Ctk("ctk")
        for cls in CLASSES:
            setattr(module, cls.__name__, cls)
        sys.modules["ctk"] = module
    return sys.modules["ctk"]
