"""The findings of one study: what the model says, what the reader says, and the way from the one to the other."""

from __future__ import annotations

from html import escape

import qt

from ..core.calls import NOT_ASSESSED, Calls, Change, RestPlan
from ..core.catalogue import Catalogue
from ..core.prediction import PredictionView
from ..core.rows import Group, groups, headline
from .calls_bar import CallsBar
from .findings_table import FindingsTable
from .findings_toolbar import FindingsToolbar, changed, narrowed
from .signal import Signal
from .theme import theme_now


class FindingsPanel(qt.QWidget):
    """Table with toolbar. Emits `selected(key)`, and `changed(changes)` for every step on the reader's calls, undo and redo too.

    It works on the `Calls` that it was given; saving and submitting them is for whoever gave them.
    """

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self.selected = Signal("key of the finding that was selected")
        self.changed = Signal("changes of the reader's calls")
        self.catalogue: Catalogue | None = None
        self.calls: Calls | None = None
        self.view: PredictionView | None = None
        self._before: dict[str, float] = {}
        self._submitted: dict[str, str] = {}
        self.toolbar, self.bar, self.notes = FindingsToolbar(), CallsBar(), qt.QLabel()
        self.table = FindingsTable(self._state, self._unsaved)
        self.notes.setWordWrap(True)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.notes)
        layout.addWidget(self.toolbar)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.bar)
        self._connect()
        self.refresh()

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """The findings that the server knows; shows them without a prediction."""
        self.catalogue = catalogue
        self.show_study(None)

    def show_study(self, calls: Calls | None, view: PredictionView | None = None, before: PredictionView | None = None) -> None:
        """Show a study's calls and prediction, None for no study or no prediction yet.

        `before` is what an earlier version gave: its probabilities are marked where they differ.
        """
        self.calls, self.view = calls, view
        self._before = _changed_probabilities(view, before)
        self.toolbar.offer_changed(bool(self._before))
        self.bar.close_question()
        self.table.allow_calls(calls is not None)
        self._arrange()
        self._show_notes()
        self.refresh()

    def refresh(self) -> None:
        """Show the calls as they are, after they were changed or submitted elsewhere."""
        calls = self.calls
        self._submitted = dict(calls.to_json()["submitted"]["findings"]) if calls is not None else {}
        called = calls.called if calls is not None else {}
        unsaved = sum(called.get(key) != self._submitted.get(key) for key in {*called, *self._submitted})
        undo, redo = (self._named(calls.undo_text), self._named(calls.redo_text)) if calls is not None else (None, None)
        self.bar.show_calls(calls is not None, len(called), unsaved, undo, redo)
        against = calls.contradictions(self.catalogue) if calls is not None and self.catalogue is not None else ()
        self.bar.show_remark(" ".join(against))
        self.table.repaint_calls()

    def select(self, key: str) -> bool:
        """Select a finding; whether it is shown."""
        return self.table.select(key)

    def undo(self, *_arguments: object) -> None:
        """Take the last step on the calls back."""
        if self.calls is not None:
            self._after(self.calls.undo())

    def redo(self, *_arguments: object) -> None:
        """Do the last undone step again."""
        if self.calls is not None:
            self._after(self.calls.redo())

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow a change of theme."""
        qt.QWidget.changeEvent(self, event)
        if event.type() in (qt.QEvent.PaletteChange, qt.QEvent.ApplicationPaletteChange):
            self._show_notes()
            self.refresh()

    def _connect(self) -> None:
        self.toolbar.filtered.connect(self.table.filter)
        self.toolbar.arranged.connect(self._arrange)
        self.table.selected.connect(self.selected.emit)
        self.table.clicked_call.connect(self._on_clicked)
        self.table.typed_call.connect(self._on_typed)
        self.bar.undo.connect(self.undo)
        self.bar.redo.connect(self.redo)
        self.bar.asked_rest.connect(self._on_rest)
        self.bar.confirmed_rest.connect(self._on_confirmed)
        self._shortcuts = [
            _shortcut(self, "Ctrl+Z", self.undo),
            _shortcut(self, "Ctrl+Shift+Z", self.redo),
            _shortcut(self, "Ctrl+Y", self.redo),
        ]

    def _state(self, key: str) -> str:
        return self.calls.state(key) if self.calls is not None and key in self.calls.keys else NOT_ASSESSED

    def _unsaved(self, key: str) -> bool:
        return self._state(key) != self._submitted.get(key, NOT_ASSESSED)

    def _arrange(self) -> None:
        if self.catalogue is None:
            return
        rows = narrowed(groups(self.catalogue, self.view, self.calls, by=self.toolbar.by), self.toolbar.chosen, self._before)  # type: ignore[arg-type]
        if self.toolbar.by == "category":
            rows = tuple(sorted(rows, key=_nothing_above))  # acuity has its own order; sorting keeps that of the taxonomy otherwise
        self.table.mark_demo(self.view is not None and self.view.demo)
        self.table.show_groups(rows, self.catalogue, self._before)

    def _show_notes(self) -> None:
        self.notes.setVisible(self.view is not None)
        if self.view is None or self.catalogue is None:
            return
        demo, *rest = self.view.notes if self.view.demo else ("", *self.view.notes)
        parts = [f'<b><span style="color:{theme_now().demo.name()}">{escape(demo)}</span></b>'] if demo else []
        parts += [
            escape(headline(self.catalogue, self.view)),
            f'<span style="color:{theme_now().muted.name()}">{escape(" ".join(rest))}</span>',
        ]
        self.notes.setText("<br>".join(parts))

    def _on_clicked(self, key: str, state: str) -> None:
        if self.calls is not None:
            before = self.calls.state(key)
            self._after((Change(key, before, self.calls.toggle(key, state)),))

    def _on_typed(self, key: str, state: str) -> None:
        if self.calls is not None:
            before = self.calls.state(key)
            if self.calls.set(key, state):
                self._after((Change(key, before, state),))

    def _on_rest(self) -> None:
        if self.calls is not None:
            above = [key for key, row in self.table.findings.rows.items() if row.positive]
            self.bar.ask(self.calls.rest(self.catalogue, above))

    def _on_confirmed(self, plan: RestPlan) -> None:
        if self.calls is not None:
            changes = tuple(Change(key, NOT_ASSESSED, self.calls.state(key)) for key in plan.keys if self.calls.state(key) == NOT_ASSESSED)
            self.calls.mark_rest_absent(plan)
            self._after(tuple(Change(each.key, each.before, self.calls.state(each.key)) for each in changes))

    def _after(self, changes: tuple[Change, ...]) -> None:
        if not changes:
            return
        self.bar.close_question()
        if len(changes) == 1:
            self.table.reveal(changes[0].key)
        self.refresh()
        self.changed.emit(changes)

    def _named(self, step: str | None) -> str | None:
        """A step with the finding's name in place of its key."""
        key, colon, state = (step or "").partition(": ")
        return f"{self.catalogue.name(key)}{colon}{state}" if step and colon and self.catalogue is not None else step


def _nothing_above(group: Group) -> bool:
    return group.alarms == 0


def _changed_probabilities(view: PredictionView | None, before: PredictionView | None) -> dict[str, float]:
    """{key: the earlier probability} of the findings that both versions assess, where it differs enough to be told."""
    if view is None or before is None:
        return {}
    earlier = {key: float(before.probability[row]) for row, key in enumerate(before.keys) if before.estimable[row]}
    rows = [(row, key) for row, key in enumerate(view.keys) if view.estimable[row] and key in earlier]
    return {key: earlier[key] for row, key in rows if changed(earlier[key], view.probability[row], view.operating_point[row])}


def _shortcut(owner: qt.QWidget, keys: str, slot: object) -> qt.QShortcut:
    made = qt.QShortcut(qt.QKeySequence(keys), owner)
    made.setContext(qt.Qt.WidgetWithChildrenShortcut)
    made.activated.connect(slot)
    return made
