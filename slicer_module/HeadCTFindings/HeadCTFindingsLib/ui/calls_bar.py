"""Below the table: undo and redo, the rest as reviewed absent, and what is not submitted yet."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from ..core.calls import RestPlan
from .signal import Signal
from .theme import theme_now


class CallsBar(qt.QWidget):
    """Emits `undo()`, `redo()`, `asked_rest()` and, after the confirmation in place, `confirmed_rest(plan)`."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self.undo, self.redo = Signal("take the last step back"), Signal("do it again")
        self.asked_rest, self.confirmed_rest = Signal("the deliberate button was pressed"), Signal("the plan that was confirmed")
        self._plan: RestPlan | None = None
        self.undo_button = _tool(_("Undo"), qt.QStyle.SP_ArrowBack, self)
        self.redo_button = _tool(_("Redo"), qt.QStyle.SP_ArrowForward, self)
        self.rest_button = qt.QPushButton(_("Mark the rest as reviewed absent\N{HORIZONTAL ELLIPSIS}"))
        self.rest_button.setToolTip(_("For findings that you looked for and did not see. Asks first and says how many."))
        self.status = qt.QLabel()
        self.question = qt.QLabel()
        self.question.setWordWrap(True)
        self.yes_button, self.no_button = qt.QPushButton(), qt.QPushButton(_("No"))
        self.asking = qt.QFrame()
        self.asking.setFrameShape(qt.QFrame.StyledPanel)
        self.remark = qt.QLabel()
        self.remark.setWordWrap(True)
        self._lay_out()
        self.undo_button.clicked.connect(self._on_undo)
        self.redo_button.clicked.connect(self._on_redo)
        self.rest_button.clicked.connect(self._on_rest)
        self.yes_button.clicked.connect(self._on_yes)
        self.no_button.clicked.connect(self.close_question)
        self.asking.hide()
        self.remark.hide()

    def show_calls(self, open_study: bool, called: int, unsaved: int, undo: str | None, redo: str | None) -> None:
        """What can be undone or done again (as text), how many calls there are and how many are not submitted."""
        self.undo_button.setEnabled(undo is not None)
        self.redo_button.setEnabled(redo is not None)
        self.undo_button.setToolTip(_("Undo {step} (Ctrl+Z)").format(step=undo) if undo else _("Nothing to undo"))
        self.redo_button.setToolTip(_("Redo {step} (Ctrl+Shift+Z)").format(step=redo) if redo else _("Nothing to redo"))
        self.rest_button.setEnabled(open_study)
        calls = _("1 call") if called == 1 else _("{count} calls").format(count=called)
        if not open_study:
            text = ""
        elif unsaved:
            text = f'<span style="color:{theme_now().warning.name()}">\N{BLACK CIRCLE}</span> {calls}, ' + _(
                "{count} not submitted"
            ).format(count=unsaved)
        elif called:
            text = f"{calls}, " + _("all submitted")
        else:
            text = _("No calls yet")
        self.status.setText(text)

    def show_remark(self, text: str) -> None:
        """A sentence about calls that contradict each other, or ""."""
        self.remark.setText(text)
        self.remark.setVisible(bool(text))

    def ask(self, plan: RestPlan) -> None:
        """Put the question in place, with its counts; nothing is changed before the answer."""
        self._plan = plan
        count = len(plan.keys)
        self.question.setText(plan.sentence)
        self.yes_button.setText(_("Mark {count} absent").format(count=count))
        self.yes_button.setVisible(count > 0)
        self.no_button.setText(_("No") if count else _("Close"))
        self.asking.show()

    def close_question(self, *_arguments: object) -> None:
        """Take the question away without an answer."""
        self._plan = None
        self.asking.hide()

    def _lay_out(self) -> None:
        buttons = qt.QHBoxLayout()
        for widget in (self.undo_button, self.redo_button, self.rest_button):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        buttons.addWidget(self.status)
        answers = qt.QHBoxLayout()
        answers.addStretch(1)
        answers.addWidget(self.yes_button)
        answers.addWidget(self.no_button)
        inside = qt.QVBoxLayout(self.asking)
        inside.addWidget(self.question)
        inside.addLayout(answers)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.asking)
        layout.addWidget(self.remark)

    def _on_undo(self, *_arguments: object) -> None:
        self.undo.emit()

    def _on_redo(self, *_arguments: object) -> None:
        self.redo.emit()

    def _on_rest(self, *_arguments: object) -> None:
        self.asked_rest.emit()

    def _on_yes(self, *_arguments: object) -> None:
        plan = self._plan
        self.close_question()
        if plan is not None:
            self.confirmed_rest.emit(plan)


def _tool(text: str, icon: int, of: qt.QWidget) -> qt.QToolButton:
    made = qt.QToolButton()
    made.setText(text)
    made.setIcon(of.style().standardIcon(icon))
    made.setToolButtonStyle(qt.Qt.ToolButtonIconOnly)
    made.setAutoRaise(True)
    return made
