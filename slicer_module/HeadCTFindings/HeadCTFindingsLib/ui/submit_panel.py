"""Corrections on their way: undo and redo, what is not yet submitted, the comment, and what was submitted before."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.correcting import Correcting, CorrectingState
from ..core.calls import MOST_COMMENT, RestPlan
from ..core.catalogue import Catalogue
from ..core.history import Reading, by_reader
from .build import WARN, button, coloured, column, label, row, show_text


class SubmitPanel:
    """Buttons and keys for one reader's calls on the open study; Ctrl+Z works only while the keyboard is inside `inside`."""

    def __init__(self, correcting: Correcting, inside: Any) -> None:
        self.catalogue: Catalogue | None = None
        self._correcting = correcting
        self._plan: RestPlan | None = None
        self._listed: tuple[Reading, ...] | None = None
        self.undo_button = button(_("Undo"), "", self._undo)
        self.redo_button = button(_("Redo"), "", self._redo)
        self.rest_button = button(
            _("Mark the rest as reviewed absent ..."), _("For findings that you looked for and did not see; asks first"), self._ask_rest
        )
        self._question = label()
        self.confirm_rest = button(_("Yes, I looked for them"), _("One undo takes it back"), self._mark_rest)
        self.decline_rest = button(_("No"), _("Leaves them not assessed"), self._leave_rest)
        self._asking = column(self._question, row(self.confirm_rest, self.decline_rest, 1))
        self._asking.hide()
        self.comment = qt.QLineEdit()
        self.comment.setPlaceholderText(_("comment (optional; nothing that names the patient)"))
        self.comment.setMaxLength(MOST_COMMENT)
        self.comment.editingFinished.connect(self._commented)
        self.submit_button = button(_("Submit"), _("Sends your calls; it does not start any training"), self._submit)
        self._state = label()
        self._state.setTextFormat(qt.Qt.RichText)
        self._contradictions = label()
        self._waiting = label()
        self.send_button = button(_("Send now"), _("Tries again at once"), self._send)
        self._outbox = column(row(self._waiting, self.send_button))
        self._said = label()
        self.history = qt.QTreeWidget()
        self.history.setHeaderLabels([_("Earlier submissions, by reader")])
        self.history.setMaximumHeight(120)
        self.widget = column(
            row(self.undo_button, self.redo_button, self.rest_button, 1),
            self._asking,
            self._contradictions,
            row(self.comment, self.submit_button),
            self._state,
            self._said,
            self._outbox,
            self.history,
        )
        self._keys = [_shortcut(inside, keys, slot) for keys, slot in self._slots()]
        correcting.changed.connect(self.show)
        self.show(correcting.state)

    def show(self, state: CorrectingState) -> None:
        """What can be undone, what is not submitted, what waits for the server."""
        self.undo_button.setEnabled(state.undo_text is not None)
        self.undo_button.setToolTip(_("Takes back: {what} (Ctrl+Z)").format(what=state.undo_text or "-"))
        self.redo_button.setEnabled(state.redo_text is not None)
        self.redo_button.setToolTip(_("Makes again: {what} (Ctrl+Shift+Z)").format(what=state.redo_text or "-"))
        self.rest_button.setEnabled(state.open and state.not_assessed > 0)
        self.comment.setEnabled(state.open)
        if not self.comment.hasFocus() and self.comment.text != state.comment:
            self.comment.setText(state.comment)
        self.submit_button.setEnabled(state.open and state.calls > 0 and state.unsubmitted > 0)
        self._state.setText(_calls(state))
        show_text(self._contradictions, "\n".join(state.contradictions))
        self._outbox.setVisible(bool(state.outbox_line))
        self._waiting.setText(_("Outbox: {line}. Kept on this computer until the server has it.").format(line=state.outbox_line))
        show_text(self._said, state.said)
        if state.history is not self._listed:
            self._list(state.history)

    def _list(self, found: tuple[Reading, ...]) -> None:
        self._listed = found
        self.history.clear()
        self.history.setVisible(bool(found))
        for reader, theirs in by_reader(found).items():
            top = qt.QTreeWidgetItem([f"{reader} ({len(theirs)})"])
            self.history.addTopLevelItem(top)
            for each in theirs:
                item = qt.QTreeWidgetItem([each.text(self.catalogue) if self.catalogue is not None else each.at])
                item.setToolTip(0, item.text(0))
                top.addChild(item)
            top.setExpanded(True)

    def _slots(self) -> tuple[tuple[str, Any], ...]:
        return ("Ctrl+Z", self._undo), ("Ctrl+Shift+Z", self._redo), ("Ctrl+Y", self._redo)

    def _undo(self, *_arguments: Any) -> None:
        self._correcting.undo()

    def _redo(self, *_arguments: Any) -> None:
        self._correcting.redo()

    def _ask_rest(self, *_arguments: Any) -> None:
        self._plan = self._correcting.rest()
        if self._plan is not None:
            self._question.setText(self._plan.sentence)
            self.confirm_rest.setEnabled(bool(self._plan.keys))
            self._asking.show()

    def _mark_rest(self, *_arguments: Any) -> None:
        self._asking.hide()
        if self._plan is not None:
            self._correcting.mark_rest_absent(self._plan)
            self._plan = None

    def _leave_rest(self, *_arguments: Any) -> None:
        self._asking.hide()

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
    if state.unsubmitted:
        text = _("{count} not submitted yet; kept on this computer and in the scene").format(count=state.unsubmitted)
        return coloured("● ", WARN) + text
    if state.calls:
        return _("All {count} calls are submitted.").format(count=state.calls)
    return _("No calls yet: press + ? - in the table, or the keys 1 2 3; 0 takes a call back.")


def _shortcut(parent: Any, keys: str, slot: Any) -> Any:
    made = qt.QShortcut(qt.QKeySequence(keys), parent)
    made.setContext(qt.Qt.WidgetWithChildrenShortcut)
    made.activated.connect(slot)
    return made
