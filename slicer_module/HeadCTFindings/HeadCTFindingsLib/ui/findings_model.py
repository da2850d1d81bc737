"""The rows of the findings table as a Qt model: groups, families below their parent, one text to search for each finding.

Rows are inserted and written through the model's indexes, never as `QStandardItem` objects made in Python: who owns such an item after its
model is replaced is not the same in PythonQt and PySide6, and both crash on the wrong guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import qt

from ..core.catalogue import Catalogue
from ..core.rows import Group, Row, percent
from .roles import CALL, CALL_HELP, COLUMNS, GROUP_ROLE, KEY_ROLE, NAME, PROBABILITY, SEARCH_ROLE
from .theme import Theme

Path = tuple[int, ...]


class FindingsModel:
    """Keeps the rows by key, the model that shows them and the filter in front; the model is made anew only where the order changed."""

    def __init__(self, parent: qt.QObject) -> None:
        self._parent = parent
        self.source = qt.QStandardItemModel(parent)
        self.proxy = qt.QSortFilterProxyModel(parent)
        self.proxy.setRecursiveFilteringEnabled(True)
        self.proxy.setFilterRole(SEARCH_ROLE)
        self.proxy.setFilterCaseSensitivity(qt.Qt.CaseInsensitive)
        self.proxy.setFilterKeyColumn(NAME)
        self.proxy.setSourceModel(self.source)
        self.groups: tuple[Group, ...] = ()
        self.rows: dict[str, Row] = {}
        self.titles: tuple[str, ...] = COLUMNS
        self.row_height = 24
        self._order: tuple[object, ...] = ()
        self._paths: dict[str, Path] = {}
        self._written: dict[str, tuple[str, bool, bool]] = {}

    def show(self, groups: Sequence[Group], catalogue: Catalogue, theme: Theme, before: Mapping[str, float]) -> bool:
        """Show these groups, and of findings in `before` an earlier probability.

        Whether the model was made anew (then selection and expansion are gone). A new one is filled before the filter sees it: one reset
        in place of a signal for each cell.
        """
        self.groups = tuple(groups)
        self.rows = {row.key: row for group in self.groups for row in group.rows}
        order = tuple((group.title, tuple((row.key, row.depth) for row in group.rows)) for group in self.groups)
        anew = order != self._order
        old = self.source
        if anew:
            self._order = order
            self._build(catalogue)
        self.describe(theme, before)
        if anew:
            self.proxy.setSourceModel(self.source)
            old.deleteLater()
        return anew

    def group(self, title: str) -> Group | None:
        """The group of a heading."""
        return next((group for group in self.groups if group.title == title), None)

    def index_of(self, key: str) -> qt.QModelIndex | None:
        """The finding's index in the filtered model; None where it is filtered out or unknown."""
        if key not in self._paths:
            return None
        index = self.proxy.mapFromSource(self._at(self.source, self._paths[key], NAME))
        return index if index.isValid() else None

    def filter(self, text: str) -> None:
        """Keep the findings in whose name, key, synonyms, category or acuity each of the words is found, with their parents."""
        pattern = "".join(f"(?=.*{re.escape(word)})" for word in text.split())
        self.proxy.setFilterRegularExpression(pattern)

    def headings(self) -> list[qt.QModelIndex]:
        """Indexes of the headings in the filtered model."""
        return [self.proxy.index(number, NAME) for number in range(self.proxy.rowCount())]

    def describe(self, theme: Theme, before: Mapping[str, float]) -> None:
        """Write emphasis, colours and tooltips where they changed: every write costs a repaint."""
        text, muted, ground = qt.QBrush(theme.text), qt.QBrush(theme.muted), qt.QBrush(theme.group)
        for number in range(self.source.rowCount()) if not self._written else ():
            for column in range(len(COLUMNS)):
                self.source.setData(self.source.index(number, column), ground, qt.Qt.BackgroundRole)
            self.source.setData(self.source.index(number, NAME), _bold(True), qt.Qt.FontRole)
        for key, row in self.rows.items():
            tip = f"{row.tooltip}\nAcuity: {row.acuity}."
            if key in before:
                tip += f"\nAn earlier version gave {percent(before[key])}."
            wanted = (tip, row.positive, row.probability is None)
            if self._written.get(key) == wanted:
                continue
            self._written[key] = wanted
            name = self._at(self.source, self._paths[key], NAME)
            self.source.setData(name, _bold(row.positive), qt.Qt.FontRole)
            self.source.setData(name, muted if row.probability is None else text, qt.Qt.ForegroundRole)
            for column in (NAME, PROBABILITY):
                self.source.setData(self._at(self.source, self._paths[key], column), tip, qt.Qt.ToolTipRole)

    def name_column(self, column: int, title: str) -> None:
        """Write a column's title, in later models too."""
        self.titles = tuple(title if number == column else each for number, each in enumerate(self.titles))
        self.source.setHeaderData(column, qt.Qt.Horizontal, title)

    def forget_colours(self) -> None:
        """Have all rows described anew, after a change of theme."""
        self._written = {}

    def _build(self, catalogue: Catalogue) -> None:
        """A fresh model with every group and finding."""
        model = qt.QStandardItemModel(self._parent)
        model.setColumnCount(len(COLUMNS))
        self._paths, self._written = {}, {}
        for number, group in enumerate(self.groups):
            self._insert(model, (number,), "", group.title[:1].upper() + group.title[1:], group.title, "")
            counts: dict[Path, int] = {}
            above: list[tuple[int, Path]] = [(-1, (number,))]
            for row in group.rows:
                finding = catalogue[row.key]
                while above[-1][0] >= row.depth:
                    above.pop()
                parent = above[-1][1]
                path = (*parent, counts.get(parent, 0))
                counts[parent] = path[-1] + 1
                above.append((row.depth, path))
                words = " ".join((finding.name, finding.key, *finding.synonyms, finding.category, finding.acuity))
                self._insert(model, path, row.key, row.name, "", words)
                self._paths[row.key] = path
        for column, title in enumerate(self.titles):
            model.setHeaderData(column, qt.Qt.Horizontal, title)
        self.source = model

    def _insert(self, model: qt.QStandardItemModel, path: Path, key: str, name: str, group: str, words: str) -> None:
        parent = self._at(model, path[:-1], NAME)
        if len(path) > 1 and model.columnCount(parent) == 0:
            model.insertColumns(0, len(COLUMNS), parent)
        model.insertRow(path[-1], parent)
        for column in range(len(COLUMNS)):
            index = model.index(path[-1], column, parent)
            model.setData(index, key, KEY_ROLE)
            model.setData(index, group, GROUP_ROLE)
            model.setData(index, qt.QSize(0, self.row_height), qt.Qt.SizeHintRole)
        first = model.index(path[-1], NAME, parent)
        model.setData(first, name, qt.Qt.DisplayRole)
        if key:
            model.setData(model.index(path[-1], CALL, parent), CALL_HELP, qt.Qt.ToolTipRole)
        model.setData(first, words, SEARCH_ROLE)

    @staticmethod
    def _at(model: qt.QStandardItemModel, path: Path, column: int) -> qt.QModelIndex:
        index = qt.QModelIndex()
        for depth, row in enumerate(path):
            index = model.index(row, column if depth == len(path) - 1 else NAME, index)
        return index


def _bold(bold: bool) -> qt.QFont:
    """A font that only says bold or not: everything else is the view's."""
    font = qt.QFont()
    font.setBold(bold)
    return font
