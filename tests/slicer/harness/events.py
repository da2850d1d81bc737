"""What a person does, as Qt events that pass through the same way as those of a window system."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from .event_loop import process
from .qt_module import install

qt = install()

_KEYS = {name.removeprefix("Key_"): getattr(qt.Qt.Key, name) for name in qt.Qt.Key.__members__}
_MODIFIERS = {
    "Ctrl": qt.Qt.KeyboardModifier.ControlModifier,
    "Shift": qt.Qt.KeyboardModifier.ShiftModifier,
    "Alt": qt.Qt.KeyboardModifier.AltModifier,
}


def _centre(widget: Any) -> Any:
    return widget.rect.center()


def _mouse(widget: Any, kind: Any, at: Any, button: Any, buttons: Any, modifiers: Any) -> None:
    where = qt.QPointF(at)
    event = qt.QMouseEvent(kind, where, qt.QPointF(widget.mapToGlobal(at)), button, buttons, modifiers)
    qt.QApplication.sendEvent(widget, event)


def _point(widget: Any, at: Any) -> Any:
    if at is None:
        return _centre(widget)
    return qt.QPoint(*at) if isinstance(at, tuple) else at


def modifiers_of(names: str) -> Any:
    """The Qt modifiers of a text such as "Ctrl+Shift"."""
    chosen = qt.Qt.KeyboardModifier.NoModifier
    for name in filter(None, names.split("+")):
        chosen |= _MODIFIERS[name]
    return chosen


def press(widget: Any, at: Any = None, button: Any = None, modifiers: str = "") -> None:
    """Press a mouse button at `at` (x, y) in the widget, its centre by default."""
    button = button or qt.Qt.MouseButton.LeftButton
    _mouse(widget, qt.QEvent.Type.MouseButtonPress, _point(widget, at), button, button, modifiers_of(modifiers))


def release(widget: Any, at: Any = None, button: Any = None, modifiers: str = "") -> None:
    """Release a mouse button at `at`."""
    button = button or qt.Qt.MouseButton.LeftButton
    none = qt.Qt.MouseButton.NoButton
    _mouse(widget, qt.QEvent.Type.MouseButtonRelease, _point(widget, at), button, none, modifiers_of(modifiers))


def click(widget: Any, at: Any = None, button: Any = None, modifiers: str = "") -> None:
    """Click a visible, enabled widget; raises AssertionError where a person could not click."""
    if not widget.isVisible() or not widget.isEnabled():
        raise AssertionError(
            f"{widget.objectName or type(widget).__name__} is {'disabled' if widget.isVisible() else 'hidden'}: nobody can click it"
        )
    press(widget, at, button, modifiers)
    release(widget, at, button, modifiers)
    process(0)


def double_click(widget: Any, at: Any = None) -> None:
    """Click twice within the double-click interval."""
    left = qt.Qt.MouseButton.LeftButton
    click(widget, at)
    _mouse(widget, qt.QEvent.Type.MouseButtonDblClick, _point(widget, at), left, left, modifiers_of(""))
    release(widget, at)
    process(0)


def move(widget: Any, at: Any, held: Any = None) -> None:
    """Move the mouse to `at`, with the button `held` down or none (hover)."""
    none = qt.Qt.MouseButton.NoButton
    _mouse(widget, qt.QEvent.Type.MouseMove, _point(widget, at), none, held or none, modifiers_of(""))
    process(0)


def drag(widget: Any, start: tuple[int, int], end: tuple[int, int], steps: int = 10) -> None:
    """Press at `start`, move in `steps` to `end`, release there."""
    press(widget, start)
    for step in range(1, steps + 1):
        x = start[0] + (end[0] - start[0]) * step // steps
        y = start[1] + (end[1] - start[1]) * step // steps
        move(widget, (x, y), qt.Qt.MouseButton.LeftButton)
    release(widget, end)
    process(0)


def wheel(widget: Any, notches: int, at: Any = None, modifiers: str = "") -> None:
    """Turn the mouse wheel by `notches` (positive: away from the person)."""
    where = _point(widget, at)
    event = qt.QWheelEvent(
        qt.QPointF(where),
        qt.QPointF(widget.mapToGlobal(where)),
        qt.QPoint(0, 0),
        qt.QPoint(0, 120 * notches),
        qt.Qt.MouseButton.NoButton,
        modifiers_of(modifiers),
        qt.Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    qt.QApplication.sendEvent(widget, event)
    process(0)


def key(widget: Any, name: str, text: str = "") -> None:
    """Press and release a key by Qt's name with modifiers ("1", "Down", "Ctrl+Z"); shortcuts see it as they would."""
    *before, last = name.split("+")
    modifiers = modifiers_of("+".join(before))
    code = _KEYS[last if last in _KEYS else last.capitalize()]
    text = text or (last if len(last) == 1 and not before else "")
    override = qt.QKeyEvent(qt.QEvent.Type.ShortcutOverride, code, modifiers, text)
    override.setAccepted(False)
    qt.QApplication.sendEvent(widget, override)
    if not override.isAccepted() and _shortcut(widget, code, modifiers):
        process(0)
        return
    for kind in (qt.QEvent.Type.KeyPress, qt.QEvent.Type.KeyRelease):
        qt.QApplication.sendEvent(widget, qt.QKeyEvent(kind, code, modifiers, text))
    process(0)


def _shortcut(widget: Any, code: Any, modifiers: Any) -> bool:
    """Activate the shortcut that a window system would: QShortcut objects at the widget, its parents and, for the window, anywhere."""
    wanted = qt.QKeySequence(QtCore.QKeyCombination(modifiers, code))
    contexts = {
        qt.Qt.ShortcutContext.WidgetShortcut: lambda owner: owner is widget,
        qt.Qt.ShortcutContext.WidgetWithChildrenShortcut: lambda owner: owner is widget or owner.isAncestorOf(widget),
        qt.Qt.ShortcutContext.WindowShortcut: lambda owner: owner.window() is widget.window(),
        qt.Qt.ShortcutContext.ApplicationShortcut: lambda owner: True,
    }
    for shortcut in widget.window().findChildren(qt.QShortcut):
        owner = shortcut.parent()
        if shortcut.enabled and shortcut.key == wanted and contexts[shortcut.context](owner):
            shortcut.activated.emit()
            return True
    for action in widget.window().findChildren(qt.QAction):
        if action.enabled and wanted in action.shortcuts():
            action.trigger()
            return True
    return False


def type_text(widget: Any, text: str) -> None:
    """Type `text` into a widget, a key at a time."""
    for letter in text:
        for kind in (qt.QEvent.Type.KeyPress, qt.QEvent.Type.KeyRelease):
            qt.QApplication.sendEvent(widget, qt.QKeyEvent(kind, 0, modifiers_of(""), letter))
    process(0)


def show(widget: Any, size: tuple[int, int] | None = None) -> Any:
    """Show a widget (offscreen), at `size` where given, and let it lay itself out."""
    if size:
        widget.resize(*size)
    widget.show()
    process(0.02)
    return widget
