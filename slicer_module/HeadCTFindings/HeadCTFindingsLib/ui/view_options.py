"""What is shown in the slice view and beside it; remembered for this reader."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.preferences import Preferences
from .build import button, column, label, row, show_text
from .signal import Signal


class ViewOptions:
    """Emits `changed(name, on)` for a switch, `wanted_heatmap(on)` for the selected finding's, `asked_heatmap(path)` for one in a file."""

    def __init__(self, preferences: Preferences) -> None:
        self.changed = Signal("name of the setting and whether it is on")
        self.wanted_heatmap = Signal("whether the map of the selected finding is wanted")
        self.asked_heatmap = Signal("path of a map")
        self._preferences = preferences
        self.boxes: dict[str, Any] = {}
        self._slots: list[Any] = []
        for name, text, tip in (
            ("router_map", _("Map beside the slice"), _("The router map as a view of its own")),
            ("overlay", _("Overlay"), _("Slice number, attention and strongest findings in the slice view")),
            ("reformat_to_model", _("Model's planes"), _("Turns the Red view to the slices that the model saw")),
            ("follow_finding_window", _("Finding's window"), _("Selecting a finding also sets the window in which it is looked for")),
        ):
            self.boxes[name] = self._box(name, text, tip)
        self.heatmap_button = button(
            _("Show for the selected finding"),
            _("Lays over the scan where the model looked for the finding that is selected in the table; again takes it away"),
            self._heatmap,
        )
        self.heatmap_button.setCheckable(True)
        self.file_button = button(
            _("From a file ..."), _("Lays the file of `headct-molre predict --heatmap` over the scan"), self._heatmap_file
        )
        self._heatmap_text = label()
        self._heatmap_text.hide()
        self._advice = label()
        first, second = list(self.boxes.values())[:2], list(self.boxes.values())[2:]
        self.widget = column(
            row(*first, 1), row(*second, 1), row(self.heatmap_button, self.file_button, 1), self._heatmap_text, self._advice
        )

    def advise(self, text: str) -> None:
        """A line about the view, or nothing."""
        show_text(self._advice, text)

    def show_heatmap(self, on: bool, text: str) -> None:
        """Whether a map is there or asked for, and what has to be said of it."""
        self.heatmap_button.setChecked(on)
        show_text(self._heatmap_text, text)

    @property
    def heatmap_text(self) -> str:
        """What is said of the map."""
        return str(self._heatmap_text.text)

    def _box(self, name: str, text: str, tip: str) -> Any:
        made = qt.QCheckBox(text)
        made.setToolTip(tip)
        made.setChecked(self._preferences[name])

        def toggled(*_arguments: Any) -> None:
            self._preferences[name] = bool(made.checked)
            self.changed.emit(name, bool(made.checked))

        self._slots.append(toggled)
        made.clicked.connect(toggled)
        return made

    def _heatmap(self, *_arguments: Any) -> None:
        self.wanted_heatmap.emit(bool(self.heatmap_button.checked))

    def _heatmap_file(self, *_arguments: Any) -> None:
        path = qt.QFileDialog.getOpenFileName(self.widget, _("A heat map"), "", "NIfTI (*.nii.gz *.nii)")
        if path:
            self.asked_heatmap.emit(path)
