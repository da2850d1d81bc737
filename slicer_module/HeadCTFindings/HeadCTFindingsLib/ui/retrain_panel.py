"""Retraining on the server: start, watch, cancel; then what the gate says, promotion and rollback, and what changed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.learning import Learning, LearningState
from ..core.catalogue import Catalogue
from .build import allow, button, column, label, row, show_text
from .gate_view import GateView

_ROLE = _("Your token allows to read, not to train, promote or roll back: ask for the role trainer.")


class RetrainPanel:
    """Everything here happens on the server; submitting never starts it."""

    def __init__(self, learning: Learning) -> None:
        self.catalogue: Catalogue | None = None
        self._learning = learning
        self._log_shown = ""
        self._pages: tempfile.TemporaryDirectory[str] | None = None
        self.page = label()
        self.page.hide()
        self._readiness = label()
        self.mode = qt.QComboBox()
        self.mode.addItem(_("quick: minutes, no GPU needed"), "quick")
        self.mode.addItem(_("full: the backbone too, GPU advised"), "full")
        self.start_button = button(_("Retrain"), "", self._start)
        self.resume_button = button(_("Resume"), "", self._resume)
        self.cancel_button = button(_("Cancel training"), "", self._cancel)
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
        self.promote_button = button(_("Promote"), "", self._promote)
        self.rollback_button = button(_("Roll back"), "", self._roll_back)
        self._deciding = column(self.gate.widget, row(self.report_button, 1), self.page)
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
        self._show_buttons(state, running)
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
        self._acting.setVisible(len(state.versions) > 1)
        show_text(self._news, " ".join(part for part in (state.news, state.changes) if part))

    def _show_buttons(self, state: LearningState, running: bool) -> None:
        """What may be pressed now; a button that may not says why."""
        role = "" if state.may_train else _ROLE
        meanwhile = _("A training runs: wait for its end, or cancel it.") if running else ""
        missing = _("Training is not available on this server.") if state.readiness is None else ""
        few = "" if state.readiness is None or state.readiness.ready else state.readiness.reason
        none = "" if state.candidate else _("No version waits to be promoted.")
        allow(self.start_button, _("Starts training from all submitted corrections"), role or meanwhile or missing or few)
        self.mode.setEnabled(self.start_button.enabled)
        allow(self.resume_button, _("Goes on where training was interrupted"), role)
        allow(self.cancel_button, _("Ends it; the served version stays as it is"), role)
        allow(self.promote_button, _("Has the candidate predict from now on"), role or meanwhile or none)
        allow(self.rollback_button, _("Has the version before predict again"), role or meanwhile)
        self.reason.setEnabled(not role)

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
        self._learning.fetch_page(self._open_page)

    def _open_page(self, page: str) -> None:
        """In the browser, from a file that goes when Slicer ends; where it lies is said, since not every browser may read it there."""
        if self._pages is None:
            self._pages = tempfile.TemporaryDirectory(prefix="headct-gate-", ignore_cleanup_errors=True)
        file = Path(self._pages.name) / "gate.html"
        file.write_text(page, encoding="utf-8")
        opened = qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(file)))
        where = _("The report is open in the browser. It lies in {file}") if opened else _("No browser could be opened. Open {file}")
        show_text(self.page, where.format(file=file))


def _readiness(state: LearningState) -> str:
    if state.readiness is None:
        return _("Training is not available on this server.")
    lines = list(state.readiness.lines)
    if not state.may_train:
        lines.append(_ROLE)
    return "\n".join(lines)
