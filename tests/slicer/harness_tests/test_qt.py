"""The stand-in for PythonQt's `qt` accepts what PythonQt accepts and refuses what PythonQt refuses."""

from __future__ import annotations

import threading
import time

import pytest
import qt

from harness import events
from harness.application import application
from harness.event_loop import process, wait_until


def test_properties_are_read_and_written_without_calling_them() -> None:
    label = qt.QLabel("bleed")
    assert label.text == "bleed"
    label.text = "fracture"
    label.enabled = False
    assert (label.text, label.enabled, label.isEnabled()) == ("fracture", False, False)


def test_calling_a_property_fails() -> None:
    with pytest.raises(TypeError, match="not callable"):
        qt.QLabel("bleed").text()


def test_a_class_keeps_its_functions_that_are_named_like_properties() -> None:
    said = []
    qt.QTimer.singleShot(0, lambda: said.append("now"))
    process(0.01)
    timer = qt.QTimer()
    timer.singleShot = True
    assert (said, timer.singleShot, timer.isSingleShot()) == (["now"], True, True)

    class Wide(qt.QLabel):
        def sizeHint(self):
            return qt.QLabel.sizeHint(self) + qt.QSize(100, 0)

    assert Wide("x").sizeHint().width() == qt.QLabel("x").sizeHint.width() + 100


def test_what_is_no_qobject_keeps_its_methods() -> None:
    item = qt.QStandardItem("bleed")
    model = qt.QStandardItemModel()
    model.appendRow(item)
    assert (item.text(), model.rowCount(), qt.QSize(3, 4).width()) == ("bleed", 1, 3)


@pytest.mark.parametrize(
    "make",
    [lambda: qt.QLabel(text="x"), lambda: qt.QHBoxLayout().addWidget(qt.QLabel("x"), stretch=1), lambda: qt.QTimer(interval=3)],
)
def test_keyword_arguments_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TypeError, match="keyword"):
        make()


def test_only_python_subclasses_take_new_attributes() -> None:
    class Mine(qt.QLabel):
        pass

    mine = Mine("x")
    mine.finding = "sdh"
    assert mine.finding == "sdh"
    with pytest.raises(AttributeError, match="no property finding"):
        qt.QLabel("x").finding = "sdh"


@pytest.mark.parametrize("name", ["QThread", "Signal", "Slot", "QRegExp", "QSvgWidget"])
def test_what_slicer_lacks_is_absent(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(qt, name)


def test_what_only_qt_6_has_is_absent() -> None:
    point, none = qt.QPointF(1, 2), qt.Qt.NoButton
    event = qt.QMouseEvent(qt.QEvent.MouseMove, point, point, none, none, qt.Qt.NoModifier)
    assert event.pos() == qt.QPoint(1, 2)
    for use in (
        lambda: event.position(),
        lambda: qt.QColor.fromString("red"),
        lambda: qt.QKeyCombination(),
    ):
        with pytest.raises(AttributeError, match=r"Qt 5\.15"):
            use()


def test_images_come_from_rgba_bytes_only() -> None:
    assert qt.QImage(bytes(4 * 6), 3, 2, qt.QImage.Format_RGBA8888).width() == 3
    with pytest.raises(TypeError, match="RGBA8888"):
        qt.QImage(bytes(18), 3, 2, qt.QImage.Format_RGB888)
    with pytest.raises(TypeError, match="bytesPerLine"):
        qt.QImage(bytes(24), 3, 2, 12, qt.QImage.Format_RGBA8888)


def test_a_painter_is_no_context_manager() -> None:
    picture = qt.QImage(4, 4, qt.QImage.Format_RGBA8888)
    with pytest.raises(TypeError, match="end or unblock"), qt.QPainter(picture):
        pass


def test_a_worker_thread_sleeps_unless_a_timer_polls() -> None:
    ticks, ended = [0], threading.Event()

    def work() -> None:
        while not ended.is_set():
            time.sleep(0.001)
            ticks[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    before = ticks[0]
    process(0.4)
    idle = ticks[0] - before
    timer = qt.QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(5)
    before = ticks[0]
    process(0.4)
    polled = ticks[0] - before
    timer.stop()
    ended.set()
    thread.join()
    assert idle <= 3
    assert polled >= 20


def test_shortcuts_and_clicks_reach_their_slots() -> None:
    said: list[str] = []
    window = qt.QWidget()
    layout = qt.QVBoxLayout(window)
    button = qt.QPushButton("Submit")
    layout.addWidget(button)
    button.clicked.connect(lambda *_: said.append("clicked"))
    undo = qt.QShortcut(qt.QKeySequence("Ctrl+Z"), window)
    undo.activated.connect(lambda: said.append("undone"))
    events.show(window)
    events.click(button)
    events.key(button, "Ctrl+Z")
    assert said == ["clicked", "undone"]
    button.enabled = False
    with pytest.raises(AssertionError, match="disabled"):
        events.click(button)


def test_settings_live_in_a_temporary_place() -> None:
    settings = qt.QSettings()
    settings.setValue("HeadCTFindings/server", "http://127.0.0.1:8000")
    settings.sync()
    assert settings.fileName().startswith(str(application().settings_folder))


def test_waiting_says_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match="the table did not come true"):
        wait_until(lambda: False, 0.05, "the table")


def test_the_lint_knows_the_properties_of_widgets() -> None:
    from pythonqt_rules import WIDGET_PROPERTIES

    meta = qt.QAbstractItemView.staticMetaObject
    names = {meta.property(i).name() for i in range(meta.propertyCount())}
    assert names - WIDGET_PROPERTIES == {"sizeHint", "minimumSizeHint"}


class Bars(qt.QStyledItemDelegate):
    pass


def hand_over(kind: str, keeper: list) -> qt.QTreeView:
    """A view with a model or delegate that only `keeper` holds."""
    view = qt.QTreeView()
    given = {"model": qt.QStandardItemModel, "delegate": Bars, "child delegate": lambda: Bars(view)}[kind]()
    if kind == "model":
        view.setModel(given)
    else:
        view.setItemDelegate(given)
    keeper.append(given)
    return view


@pytest.mark.parametrize("kind", ["model", "delegate", "child delegate"])
def test_what_nothing_holds_is_reported_as_pythonqt_would_drop_it(kind: str) -> None:
    kept: list = []
    view = hand_over(kind, kept)
    process(0)
    view = hand_over(kind, kept)
    kept.clear()
    with pytest.raises(AssertionError, match="PythonQt would drop it"):
        process(0)
    assert view is not None


def test_a_plain_model_with_a_parent_is_held_by_qt() -> None:
    view = qt.QTreeView()
    view.setModel(qt.QStandardItemModel(view))
    process(0)
    assert view.model() is not None


def test_two_delegates_of_a_view_are_both_counted() -> None:
    class View(qt.QTreeView):
        def __init__(self) -> None:
            super().__init__()
            self.bars, self.calls = Bars(self), Bars(self)
            self.setItemDelegateForColumn(0, self.bars)
            self.setItemDelegateForColumn(1, self.calls)

    view = View()
    process(0)
    assert view.itemDelegateForColumn(0) is view.bars
