"""Calls on their way to the server: comment, submit, what waits, and what was submitted before."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.correcting import Correcting, CorrectingState
from ..core.calls import MOST_COMMENT
from ..core.catalogue import Catalogue
from .build import BUSY, WARN, button, coloured, column, label, row, show_text
from .history_view import HistoryView


class SubmitPanel:
    """Submitting is its own act: it starts no training, and it can be done again, which corrects what was submitted before."""

    def __init__(self, correcting: Correcting) -> None:
        self._correcting = correcting
        self._listed: object = None
        self.comment = qt.QLineEdit()
        self.comment.setPlaceholderText(_("comment (optional; nothing that names the patient)"))
        self.comment.setMaxLength(MOST_COMMENT)
        self.comment.editingFinished.connect(self._commented)
        self.submit_button = button(_("Submit"), _("Sends your calls; it does not start any training"), self._submit)
        self._state = label()
        self._state.setTextFormat(qt.Qt.RichText)
        self._waiting = label()
        self.send_button = button(_("Send now"), _("Tries again at once"), self._send)
        self._outbox = column(self._waiting, row(self.send_button, 1))
        self._said = label()
        self._hidden = label()
        self.history = HistoryView()
        self.history.setMaximumHeight(130)
        self.widget = column(row(self.comment, self.submit_button), self._state, self._said, self._outbox, self._hidden, self.history)
        correcting.changed.connect(self.show)
        self.show(correcting.state)

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """The names of the findings, for the history."""
        self.history.set_catalogue(catalogue)

    def show(self, state: CorrectingState) -> None:
        """What is not submitted, what waits for the server, and who submitted before."""
        self.comment.setEnabled(state.open)
        if not self.comment.focus and self.comment.text != state.comment:
            self.comment.setText(state.comment)
        self.submit_button.setEnabled(state.submittable)
        self._state.setText(_calls(state))
        self._outbox.setVisible(bool(state.outbox_line))
        self._waiting.setText(_("Outbox: {line}. Kept on this computer until the server has it.").format(line=state.outbox_line))
        show_text(self._said, state.said)
        hidden = _("{count} submitted by others, shown once you have submitted your own").format(count=state.hidden)
        show_text(self._hidden, hidden if state.hidden else "")
        if state.history is not self._listed:
            self._listed = state.history
            self.history.setVisible(bool(state.history))
            self.history.show_submissions(state.history)

    def _commented(self, *_arguments: Any) -> None:
        self._correcting.write_comment(self.comment.text.strip())

    def _submit(self, *_arguments: Any) -> None:
        self._commented()
        self._correcting.submit()

    def _send(self, *_arguments: Any) -> None:
        self._correcting.send_waiting()


def _calls(state: CorrectingState) -> str:
    if not state.open:
        return _("No study is open.")
    if state.submittable:
        text = _("{count} not submitted yet; kept on this computer and in the scene").format(count=state.unsubmitted or _("Comment"))
        return coloured("● ", WARN) + text
    if state.on_the_way:
        return coloured("● ", BUSY) + _("Your calls are on the way to the server.")
    if state.calls:
        return _("Everything is submitted.")
    return _("No calls yet: press a state in the table, or the keys 1 2 3; 0 takes a call back.")
