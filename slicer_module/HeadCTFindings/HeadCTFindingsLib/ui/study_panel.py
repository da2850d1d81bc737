"""Which study is read: the next one by strategy, a volume of the scene, or one by its id; and what stands in the way of it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.reading import Reading, ReadingState
from .banner import Banner
from .build import button, column, fill, label, row, show_text


class StudyPanel:
    """`read_volume` is called where a volume of the scene is to be read; the glue exports it and gives it to the Reading."""

    def __init__(self, reading: Reading, selector: Any, read_volume: Callable[[], None]) -> None:
        self._reading, self._read_volume = reading, read_volume
        self.strategy = qt.QComboBox()
        self.strategy.setToolTip(_("How the server chooses the study that you read next"))
        self.next_button = button(_("Next study"), _("Opens the study that the server wants to have read next"), self._next)
        self.skip_button = button(_("Skip ..."), _("Not to be offered this study again; others are"), self._ask_to_skip)
        self.volume_button = button(_("Read this volume"), _("Sends the chosen volume to the server and reads it"), self._volume)
        self.study_id = qt.QLineEdit()
        self.study_id.setPlaceholderText(_("study id"))
        self.open_button = button(_("Open"), _("Opens the study with this id"), self._open)
        self.study_id.returnPressed.connect(self._open)
        self._title = label()
        self._title.setTextFormat(qt.Qt.RichText)
        self._others = label()
        self._progress = qt.QProgressBar()
        self._stage = label()
        self.cancel_button = button(_("Cancel"), _("Stops what is under way"), self._cancel)
        self._working = column(self._stage, row(self._progress, self.cancel_button))
        self.consent = Banner()
        self.allow_button = button(_("Send it, and remember for this server"), _("Asked once for each server"), self._allow)
        self.consent.add_button(self.allow_button)
        self.refuse_button = button(_("Do not send"), _("Nothing leaves this computer"), self._refuse)
        self.consent.add_button(self.refuse_button)
        self.skip_reason = qt.QLineEdit()
        self.skip_reason.setPlaceholderText(_("reason, for your colleagues; no patient's name"))
        self.confirm_skip = button(_("Skip"), _("Skips the study for this reason and opens the next one"), self._skip)
        self._skipping = column(row(self.skip_reason, self.confirm_skip))
        self._skipping.hide()
        self.banner = Banner()
        self.widget = column(
            row(self.next_button, self.strategy, self.skip_button),
            self._skipping,
            row(selector, self.volume_button),
            row(self.study_id, self.open_button),
            self.consent.widget,
            self._working,
            self._title,
            self._others,
            self.banner.widget,
        )
        self.strategy.currentIndexChanged.connect(self._strategy_chosen)
        reading.changed.connect(self.show)
        self.show(reading.state)

    def show(self, state: ReadingState) -> None:
        """What is open, what is under way, and what the gate says of it."""
        fill(self.strategy, [(name, name.replace("_", " ")) for name in state.strategies], self._reading.preferences["strategy"])
        ready = state.connected and not state.working
        for control in (self.next_button, self.strategy, self.open_button, self.study_id, self.volume_button):
            control.setEnabled(ready)
        self.skip_button.setEnabled(ready and bool(state.study))
        self._working.setVisible(state.working)
        self._stage.setText(state.stage)
        self._progress.setRange(0, 0 if state.share is None else 100)
        self._progress.setValue(0 if state.share is None else round(100 * state.share))
        show_text(self._title, _study(state))
        show_text(self._others, _("Also open at: {readers}").format(readers=", ".join(state.others)) if state.others else "")
        self._show_consent(state)
        self._show_banner(state)

    def _show_consent(self, state: ReadingState) -> None:
        if not state.asks_consent:
            self.consent.hide()
            return
        lines = [
            _("Its voxels and geometry are sent and stay on that server, without name, date or any other tag of the file."),
            _("Voxels can show a face. Send it only where you may."),
            _("Your calls, comments and reader's name go there when you submit. Nothing else is sent, and nothing to anybody else."),
        ]
        if self._reading.open_to_listeners:
            lines.insert(1, _("The connection is not encrypted: others on the network could read it."))
        self.consent.show("info", _("Send this volume to {server}?").format(server=self._reading.server), lines)

    def _show_banner(self, state: ReadingState) -> None:
        if state.refusal is not None:
            headline = _("No results: this study was refused") if state.refusal.by_gate else _("This did not work")
            self.banner.show("refusal", headline, [state.refusal.message])
        elif state.warnings:
            self.banner.show("warning", _("Read with care"), list(state.warnings))
        elif state.note:
            self.banner.show("info", state.note)
        else:
            self.banner.hide()

    def _strategy_chosen(self, *_arguments: Any) -> None:
        self._reading.choose_strategy(str(self.strategy.currentData or ""))

    def _next(self, *_arguments: Any) -> None:
        self._reading.next_study()

    def _ask_to_skip(self, *_arguments: Any) -> None:
        self._skipping.setVisible(not self._skipping.visible)
        self.skip_reason.setFocus()

    def _skip(self, *_arguments: Any) -> None:
        if self.skip_reason.text.strip():
            self._skipping.hide()
            self._reading.skip(self.skip_reason.text.strip())
            self.skip_reason.clear()

    def _volume(self, *_arguments: Any) -> None:
        self._read_volume()

    def _open(self, *_arguments: Any) -> None:
        if self.study_id.text.strip():
            self._reading.open_study(self.study_id.text.strip())
            self.study_id.clear()

    def _allow(self, *_arguments: Any) -> None:
        self._reading.allow_upload()

    def _refuse(self, *_arguments: Any) -> None:
        self._reading.refuse_upload()

    def _cancel(self, *_arguments: Any) -> None:
        self._reading.cancel()


def _study(state: ReadingState) -> str:
    """Which study, and why it came."""
    if not state.study:
        return ""
    name = f"<b>{escape(state.study)}</b>"
    return _("{study}: {why}").format(study=name, why=escape(state.why)) if state.why else name
