"""The tree of the findings: a bar and a tri-state call in each row, worked with the mouse or with the keys 1, 2, 3, 0 and arrows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt

from ..core.calls import ABSENT, NOT_ASSESSED, PRESENT, UNCERTAIN
from ..core.catalogue import Catalogue
from ..core.rows import Group
from .bar_delegate import BarDelegate
from .call_delegate import CallDelegate
from .cell_cache import CellCache
from .findings_model import FindingsModel
from .roles import CALL, CALL_HELP, COLUMNS, GROUP_ROLE, KEY_ROLE, NAME, PROBABILITY
from .signal import Signal
from .theme import theme_now

DEMO_TITLE = "DEMO probability"
_STATES = {
    qt.Qt.Key_1: PRESENT,
    qt.Qt.Key_2: UNCERTAIN,
    qt.Qt.Key_3: ABSENT,
    qt.Qt.Key_0: NOT_ASSESSED,
    qt.Qt.Key_Delete: NOT_ASSESSED,
}


class FindingsTable(qt.QTreeView):
    """Emits `selected(key)`, `clicked_call(key, state)` for a button (again clears) and `typed_call(key, state)` for a key.

    It shows calls through `state_of` and `unsaved` and never keeps any, so that undo and a restored study need only `repaint_calls`.
    """

    def __init__(
        self,
        state_of: Callable[[str], str] = lambda key: NOT_ASSESSED,
        unsaved: Callable[[str], bool] = lambda key: False,
        parent: qt.QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.selected = Signal("key of the finding that was selected")
        self.clicked_call = Signal("key and state of the button that was clicked")
        self.typed_call = Signal("key and state that a key stands for")
        self.before: Mapping[str, float] = {}
        self.findings = FindingsModel(self)
        self.painted = CellCache(self._pixel_ratio)
        self.bars = BarDelegate(self._row, self.findings.group, self._before, self.painted, self)
        self.calls = CallDelegate(state_of, unsaved, self.painted, self)
        self.calls.clicked.connect(self.clicked_call.emit)
        self._colours = theme_now()
        self._quiet = False
        self._tinting = False
        self._last = ""
        self._closed: set[str] = set()
        self._set_up()

    def show_groups(self, groups: tuple[Group, ...], catalogue: Catalogue, before: Mapping[str, float] | None = None) -> None:
        """Show these groups, and where given the probabilities that an earlier version gave; keeps selection and closed groups."""
        self.before = dict(before or {})
        self.painted.clear()
        self._quiet = True
        try:
            if self.findings.show(groups, catalogue, self._colours, self.before):
                self._expand()
                self._size_columns()
            self._select_again()
        finally:
            self._quiet = False
        self.viewport().update()

    def selected_key(self) -> str:
        """The selected finding's key, or ""."""
        index = self.currentIndex()
        return (index.data(KEY_ROLE) or "") if index.isValid() else ""

    def select(self, key: str) -> bool:
        """Select a finding and scroll to it; whether it is there (a filter may hide it)."""
        index = self.findings.index_of(key)
        if index is None:
            return False
        self.setCurrentIndex(index)
        self.scrollTo(index)
        return True

    def reveal(self, key: str) -> None:
        """Scroll to a finding without selecting it."""
        index = self.findings.index_of(key)
        if index is not None:
            self.scrollTo(index)

    def filter(self, text: str) -> None:
        """Show only findings that match all words, their groups opened.

        Where the selected finding is hidden, none is selected (Qt would take a neighbour, and the slice view would jump while the reader
        types); it is selected again as soon as it is shown.
        """
        self._quiet = True
        try:
            self.findings.filter(text)
            self._expand()
            self._select_again()
        finally:
            self._quiet = False

    def repaint_calls(self) -> None:
        """Show the calls as they are now."""
        self.viewport().update()

    def mark_demo(self, demo: bool) -> None:
        """Say above the bars that they are those of a demo model."""
        self.findings.name_column(PROBABILITY, DEMO_TITLE if demo else COLUMNS[PROBABILITY])

    def allow_calls(self, allowed: bool) -> None:
        """Show and take calls, or none of both while there is no study."""
        self.calls.enabled_calls = allowed
        self.viewport().update()

    def _on_current(self, current: qt.QModelIndex, *_arguments: object) -> None:
        """Tell which finding was selected, but for what the table selects by itself."""
        key = (current.data(KEY_ROLE) or "") if current.isValid() else ""
        if key and not self._quiet:
            self._last = key
            self.selected.emit(key)

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """1 present, 2 uncertain, 3 absent, 0 takes the call back; everything else is the tree's."""
        state, key = _STATES.get(event.key()), self.selected_key()
        if state is None or event.modifiers() & (qt.Qt.ControlModifier | qt.Qt.AltModifier):
            qt.QTreeView.keyPressEvent(self, event)
        elif key and self.calls.enabled_calls:
            self.typed_call.emit(key, state)

    def changeEvent(self, event: qt.QEvent) -> None:
        """Follow a change of theme."""
        qt.QTreeView.changeEvent(self, event)
        if event.type() in (qt.QEvent.PaletteChange, qt.QEvent.ApplicationPaletteChange) and not self._tinting:
            self._follow_theme()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Give the bars what the names leave."""
        qt.QTreeView.resizeEvent(self, event)
        self._size_columns()

    def _set_up(self) -> None:
        line = self.fontMetrics().height()
        self.findings.row_height = line + 8
        self.setModel(self.findings.proxy)
        self.setItemDelegateForColumn(PROBABILITY, self.bars)
        self.setItemDelegateForColumn(CALL, self.calls)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        self.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        self.setIndentation(line)
        self.setExpandsOnDoubleClick(False)
        self.header().setStretchLastSection(False)
        self.header().setSectionsMovable(False)
        self.setToolTip(CALL_HELP)
        self.setObjectName("FindingsTable")
        self._selection = self.selectionModel()
        self._selection.currentChanged.connect(self._on_current)
        self.collapsed.connect(self._on_collapsed)
        self.expanded.connect(self._on_expanded)
        self._follow_theme()

    def _row(self, key: str) -> object:
        return self.findings.rows.get(key)

    def _pixel_ratio(self) -> float:
        return self.devicePixelRatioF()

    def _before(self, key: str) -> float | None:
        return self.before.get(key)

    def _select_again(self) -> None:
        """Select what the reader selected last, or nothing where it is not shown."""
        if not self._last or not self.select(self._last):
            self.setCurrentIndex(qt.QModelIndex())

    def _expand(self) -> None:
        """Open everything but the groups that the reader closed."""
        self._quiet, quiet = True, self._quiet
        try:
            self.expandAll()
            for index in self.findings.headings():
                if index.data(GROUP_ROLE) in self._closed:
                    self.collapse(index)
        finally:
            self._quiet = quiet

    def _on_collapsed(self, index: qt.QModelIndex) -> None:
        if not self._quiet and not index.data(KEY_ROLE):
            self._closed.add(index.data(GROUP_ROLE))

    def _on_expanded(self, index: qt.QModelIndex) -> None:
        if not self._quiet and not index.data(KEY_ROLE):
            self._closed.discard(index.data(GROUP_ROLE))

    def _size_columns(self) -> None:
        """Names get up to half of the width, calls what three buttons need, bars the rest."""
        line, room = self.fontMetrics().height(), self.viewport().width
        call = 11 * line // 2
        name = min(max((room - call) * 48 // 100, 9 * line), 24 * line)
        self.setColumnWidth(CALL, call)
        self.setColumnWidth(NAME, name)
        self.setColumnWidth(PROBABILITY, max(room - call - name, 6 * line))

    def _follow_theme(self) -> None:
        self._tinting = True
        try:
            self._colours = self.bars.colours = self.calls.colours = theme_now()
            palette = qt.QApplication.palette()
            palette.setColor(qt.QPalette.Highlight, self._colours.selection)
            palette.setColor(qt.QPalette.HighlightedText, self._colours.text)
            self.setPalette(palette)
            self.painted.clear()
            self.findings.forget_colours()
            self.findings.describe(self._colours, self.before)
        finally:
            self._tinting = False
