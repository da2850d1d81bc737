"""Window presets on buttons and keys, remembered for this reader."""

from __future__ import annotations

from typing import Any

import qt

from ..core.presets import PRESETS, WindowPreset, preset
from .build import row
from .signal import Signal


class WindowPresets:
    """Emits `chosen(preset)`; the keys work while the keyboard is inside one of the widgets that `listen` and `listen_views` were given."""

    def __init__(self, key: str) -> None:
        self.chosen = Signal("the WindowPreset that the reader wants")
        self.current = preset(key)
        self.buttons: dict[str, Any] = {}
        self._slots: dict[str, Any] = {}
        self._shortcuts: list[Any] = []
        self._in_views: list[Any] = []
        group = qt.QButtonGroup()
        group.setExclusive(True)
        self._group = group
        for each in PRESETS:
            made = qt.QToolButton()
            made.setText(each.name)
            made.setToolTip(each.tooltip)
            made.setCheckable(True)
            made.setChecked(each == self.current)
            self._slots[each.key] = self._slot(each)
            made.clicked.connect(self._slots[each.key])
            group.addButton(made)
            self.buttons[each.key] = made
        self.widget = qt.QWidget()
        self.widget.setLayout(row(*self.buttons.values(), 1))

    def listen(self, widget: Any) -> None:
        """Takes the keys inside a widget of the module."""
        self._shortcuts += self._made_for(widget)

    def listen_views(self, view: Any | None) -> None:
        """Takes the keys inside a slice view too, until `forget_views`."""
        if view is not None and not self._in_views:
            self._in_views = self._made_for(view)

    def forget_views(self) -> None:
        """Gives the slice view its keys back."""
        for shortcut in self._in_views:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._in_views = []

    def _made_for(self, widget: Any) -> list[Any]:
        made = []
        for each in PRESETS:
            shortcut = qt.QShortcut(qt.QKeySequence(each.shortcut), widget)
            shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
            shortcut.activated.connect(self._slots[each.key])
            made.append(shortcut)
        return made

    def choose(self, chosen: WindowPreset) -> None:
        """Takes a preset, whoever wants it."""
        self.current = chosen
        self.buttons[chosen.key].setChecked(True)
        self.chosen.emit(chosen)

    def _slot(self, chosen: WindowPreset) -> Any:
        def pressed(*_arguments: Any) -> None:
            self.choose(chosen)

        return pressed
