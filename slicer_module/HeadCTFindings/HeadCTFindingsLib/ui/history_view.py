"""Earlier submissions on a study: who called what and when, and what the model had shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import qt
from slicer.i18n import tr as _

from ..core.calls import STATES
from ..core.catalogue import Catalogue
from ..core.rows import percent


class HistoryView(qt.QTreeView):
    """One row for a submission, the newest first, with its calls below it."""

    def __init__(self, parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self.catalogue: Catalogue | None = None
        self.submissions = qt.QStandardItemModel(0, 3, self)
        self.setModel(self.submissions)
        self.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.setUniformRowHeights(True)
        self.setObjectName("HistoryView")
        self._title()

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """The names of the findings."""
        self.catalogue = catalogue

    def show_submissions(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Show the answer of `GET /headct/studies/{id}/submissions` (in the order of arrival)."""
        self.submissions.removeRows(0, self.submissions.rowCount())
        for record in reversed(records):
            self._add(record)
        for column in range(3):
            self.resizeColumnToContents(column)

    def _title(self) -> None:
        for column, title in enumerate((_("Reader"), _("Calls"), _("Model showed"))):
            self.submissions.setHeaderData(column, qt.Qt.Horizontal, title)

    def _add(self, record: Mapping[str, Any]) -> None:
        submission, shown = record["submission"], record.get("shown_probabilities") or {}
        model = submission.get("model")
        told = f"{model['name']} {model['version']}" if model else ""
        top = self._row(qt.QModelIndex(), f"{submission['reader']}, {_when(record['received_at'])}", _summary(submission["findings"]), told)
        for key, state in submission["findings"].items():
            name = self.catalogue.name(key) if self.catalogue is not None else key
            self._row(top, name, state.replace("_", " "), percent(shown[key]) if key in shown else "")
        if submission.get("comment"):
            self._row(top, _("Comment"), submission["comment"], "")

    def _row(self, parent: qt.QModelIndex, *cells: str) -> qt.QModelIndex:
        """A row below `parent`; written through indexes, so that no item belongs to Python."""
        model = self.submissions
        number = model.rowCount(parent)
        if model.columnCount(parent) == 0:
            model.insertColumns(0, len(cells), parent)
        model.insertRow(number, parent)
        for column, cell in enumerate(cells):
            model.setData(model.index(number, column, parent), cell)
        return model.index(number, 0, parent)


def _summary(calls: Mapping[str, str]) -> str:
    counts = {state: sum(each == state for each in calls.values()) for state in STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or _("none")


def _when(received: str) -> str:
    """The server's ISO time in this computer's, to the minute; as it is where it cannot be read."""
    try:
        return datetime.fromisoformat(received).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return received
