"""Retraining on the server: start, watch, cancel; then what the gate says, promotion and rollback, and what changed."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.learning import Learning, LearningState
from .build import button, column, label, row, show_text
from .gate_view import GateView


class RetrainPanel:
    """Everything here happens on the server; submitting never starts it."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning
        self._readiness = label()
        self.mode = qt.QComboBox()
        self.mode.addItem(_("quick: minutes, no GPU needed"), "quick")
        self.mode.addItem(_("full: also the backbone, GPU advised"), "full")
        self.start_button = button(_("Retrain"), _("Starts training from all submitted corrections"), self._start)
        self.resume_button = button(_("Resume"), _("Goes on where training was interrupted"), self._resume)
        self.cancel_button = button(_("Cancel training"), _("Stops it; the served version stays as it is"), self._cancel)
        self._stage = label()
        self._bar = qt.QProgressBar()
        self._metrics = label()
        self.log = qt.QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(500)
        self.log.setMaximumHeight(110)
        self._problem = label()
        self._running = column(self._stage, row(self._bar, self.cancel_button), self._metrics, self.log)
        self.gate = GateView()
        self.report_button = button(_("Open the full report"), _("Opens the gate's page in the browser"), self._report)
        self.promote_button = button(_("Promote"), _("Serves this version from now on"), self._promote)
        self.reason = qt.QLineEdit()
        self.reason.setPlaceholderText(_("reason (needed where the gate did not say promote)"))
        self.rollback_button = button(_("Roll back"), _("Serves the version before this one again"), self._roll_back)
        self._served = label()
        self._deciding = column(self.gate.widget, row(self.report_button, 1), row(self.reason, self.promote_button))
        self.changes = qt.QTreeWidget()
        self.changes.setRootIsDecorated(False)
        self.changes.setMaximumHeight(180)
        self._changed = label()
        self.widget = column(
            self._readiness,
            row(self.start_button, self.mode, self.resume_button, 1),
            self._running,
            self._problem,
            self._deciding,
            row(self._served, self.rollback_button),
            self._changed,
            self.changes,
        )
        self._shown_changes: object = None
        learning.changed.connect(self.show)
        learning.logged.connect(self.log.appendPlainText)
        self.show(learning.state)

    def show(self, state: LearningState) -> None:
        """What may be started, what runs, and what came of it."""
        self._readiness.setText(state.readiness)
        self.start_button.setEnabled(state.may_start)
        self.mode.setEnabled(state.may_start)
        self.resume_button.setVisible(state.can_resume)
        self._running.setVisible(state.job_id is not None)
        self.cancel_button.setEnabled(state.running)
        self._stage.setText(state.stage)
        self._bar.setRange(0, 100)
        self._bar.setValue(round(state.percentage))
        show_text(self._metrics, state.metrics)
        show_text(self._problem, state.problem)
        self._deciding.setVisible(state.report is not None)
        if state.report is not None:
            self.gate.show(state.report)
        self.promote_button.setVisible(state.may_promote)
        self.reason.setVisible(state.may_promote)
        self._served.setText(state.served)
        self.rollback_button.setEnabled(state.may_roll_back)
        show_text(self._changed, state.changed_headline)
        if state.changes is not self._shown_changes:
            self._show_changes(state)

    def _show_changes(self, state: LearningState) -> None:
        self._shown_changes = state.changes
        self.changes.clear()
        self.changes.setHeaderLabels([_("Finding"), _("before"), _("now"), _("change")])
        self.changes.setVisible(bool(state.changes))
        for change in state.changes:
            cells = [change.name, _percent(change.before), _percent(change.after), change.note]
            self.changes.addTopLevelItem(qt.QTreeWidgetItem(cells))
        self.changes.resizeColumnToContents(0)

    def _start(self, *_arguments: Any) -> None:
        self.log.clear()
        self._learning.start(str(self.mode.currentData))

    def _resume(self, *_arguments: Any) -> None:
        self._learning.resume()

    def _cancel(self, *_arguments: Any) -> None:
        self._learning.cancel()

    def _report(self, *_arguments: Any) -> None:
        self._learning.fetch_page(_open_page)

    def _promote(self, *_arguments: Any) -> None:
        self._learning.promote(self.reason.text.strip())
        self.reason.clear()

    def _roll_back(self, *_arguments: Any) -> None:
        self._learning.roll_back(self.reason.text.strip())
        self.reason.clear()


def _percent(probability: float | None) -> str:
    return "-" if probability is None else f"{100 * probability:.0f} %"


def _open_page(path: str) -> None:
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))
