"""Retraining on the server: start, watch, cancel; then what the gate says, promotion and rollback, and what changed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.learning import Learning, LearningState
from ..core.catalogue import Catalogue
from .build import button, column, label, row, show_text
from .gate_view import GateView


class RetrainPanel:
    """Everything here happens on the server; submitting never starts it."""

    def __init__(self, learning: Learning) -> None:
        self.catalogue: Catalogue | None = None
        self._learning = learning
        self._log_shown = ""
        self._readiness = label()
        self.mode = qt.QComboBox()
        self.mode.addItem(_("quick: minutes, no GPU needed"), "quick")
        self.mode.addItem(_("full: the backbone too, GPU advised"), "full")
        self.start_button = button(_("Retrain"), _("Starts training from all submitted corrections"), self._start)
        self.resume_button = button(_("Resume"), _("Goes on where training was interrupted"), self._resume)
        self.cancel_button = button(_("Cancel training"), _("Ends it; the served version stays as it is"), self._cancel)
        self.stage = label()
        self.bar = qt.QProgressBar()
        self.bar.setRange(0, 1000)
        self._metrics = label()
        self.log = qt.QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumHeight(100)
        self.log.setPlaceholderText(_("The end of the log"))
        self._running = column(self.stage, row(self.bar, self.cancel_button), self._metrics, self.log)
        self._problem = label()
        self.gate = GateView()
        self.report_button = button(_("Open the full report"), _("The gate's page, in the browser"), self._report)
        self.reason = qt.QLineEdit()
        self.reason.setPlaceholderText(_("reason, needed against the gate"))
        self.reason.setToolTip(_("Kept in the history of versions; needed where the gate did not say promote"))
        self.promote_button = button(_("Promote"), _("Has the candidate predict from now on"), self._promote)
        self.rollback_button = button(_("Roll back"), _("Has the version before predict again"), self._roll_back)
        self._deciding = column(self.gate.widget, row(self.report_button, 1))
        self._acting = column(row(self.reason, self.promote_button, self.rollback_button))
        self._served = label()
        self._news = label()
        self.widget = column(
            self._readiness,
            row(self.start_button, self.mode, self.resume_button, 1),
            self._running,
            self._problem,
            self._deciding,
            self._served,
            self._acting,
            self._news,
        )
        learning.changed.connect(self.show)
        self.show(learning.state)

    def show(self, state: LearningState) -> None:
        """What may be started, what runs, and what came of it."""
        job, running = state.job, state.job is not None and state.job.running
        self._readiness.setText(_readiness(state))
        able = state.may_train and state.readiness is not None and state.readiness.ready and not running
        self.start_button.setEnabled(able)
        self.mode.setEnabled(able)
        self.resume_button.setVisible(job is not None and job.resumable)
        self._running.setVisible(job is not None)
        if job is not None:
            self.stage.setText(job.line)
            self.bar.setValue(round(1000 * job.share))
            show_text(self._metrics, job.metrics_text)
        self.bar.setVisible(running)
        self.cancel_button.setVisible(running)
        self.log.setVisible(bool(state.log))
        if state.log != self._log_shown:
            self._log_shown = state.log
            self.log.setPlainText(state.log)
            self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum)
        show_text(self._problem, state.problem)
        self._deciding.setVisible(state.gate is not None and self.catalogue is not None)
        if state.gate is not None and self.catalogue is not None:
            self.gate.show(state.gate, self.catalogue, state.served)
        self._served.setText("\n".join(each.text for each in state.versions if each.champion or each.candidate))
        self._acting.setVisible(state.may_train and len(state.versions) > 1)
        self.promote_button.setEnabled(bool(state.candidate) and not running)
        self.rollback_button.setEnabled(not running)
        show_text(self._news, " ".join(part for part in (state.news, state.changes) if part))

    def _start(self, *_arguments: Any) -> None:
        self._learning.start(str(self.mode.currentData))

    def _resume(self, *_arguments: Any) -> None:
        self._learning.resume()

    def _cancel(self, *_arguments: Any) -> None:
        self._learning.cancel()

    def _promote(self, *_arguments: Any) -> None:
        self._learning.promote(self.reason.text.strip())
        self.reason.clear()

    def _roll_back(self, *_arguments: Any) -> None:
        self._learning.roll_back(self.reason.text.strip())
        self.reason.clear()

    def _report(self, *_arguments: Any) -> None:
        self._learning.fetch_page(_open_page)


def _readiness(state: LearningState) -> str:
    if state.readiness is None:
        return _("Training is not available on this server.")
    lines = list(state.readiness.lines)
    if not state.may_train:
        lines.append(_("Your token does not allow training; ask for the role trainer."))
    return "\n".join(lines)


def _open_page(page: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="headct-gate-", suffix=".html", delete=False) as file:
        file.write(page)
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(Path(file.name))))
