"""The lint finds each rule's violation and leaves alone what PythonQt accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pythonqt_rules import MOST_LINES, violations_in, violations_of

MODULE = Path(__file__).resolve().parents[3] / "slicer_module"


def rules(source: str, path: str = "ui/table.py") -> list[str]:
    return [violation.rule for violation in violations_of(source, Path(path))]


WRONG = {
    "2": [
        "qt.QLabel(text='x')",
        "ctk.ctkSliderWidget(parent=None)",
        "slicer.qMRMLNodeComboBox(parent=w)",
        "layout.addWidget(w, stretch=1)",
        "timer.start(msec=20)",
    ],
    "4": [
        "class A(qt.QWidget):\n def paintEvent(self, ev):\n  super().paintEvent(ev)",
        "class A(qt.QWidget):\n def f(self):\n  super().show()",
        "class B(A):\n def mousePressEvent(self, ev):\n  super().mousePressEvent(ev)",
    ],
    "5": [
        "view.setItemDelegate(BarDelegate(view))",
        "view.setModel(qt.QStandardItemModel())",
        "w.installEventFilter(Keys())",
        "proxy.setSourceModel(Rows())",
    ],
    "6": [
        "box.currentIndexChanged[int].connect(f)",
        "button.connect('clicked()', f)",
        "qt.QObject.connect(a, b, c)",
        "button.clicked.connect(lambda: f())",
        "class A:\n def f(self):\n  b.clicked.connect(self.g)\n def g(self): pass",
        "class A:\n def f(self):\n  b.toggled.connect(self.g)\n def g(self, on): pass",
    ],
    "7": ["x = qt.Qt.AlignLeft.value", "int(qt.Qt.LeftButton)"],
    "8": ["qt.QImage(b, w, h, 3 * w, f)", "f = qt.QImage.Format_RGB888", "bytes(reply.readAll())"],
    "9": ["item.setData([1, 2], role)", "model.setData(index, 3)\nitem.setData({'a': 1})"],
    "11": ["with qt.QPainter(image) as p: pass", "with qt.QSignalBlocker(w): pass"],
    "12": ["t = qt.QThread()", "import threading", "from concurrent.futures import ThreadPoolExecutor", "from qt import QThread"],
    "13": [
        "import PySide6.QtCore",
        "from PythonQt.QtGui import QLabel",
        "import requests",
        "changed = qt.Signal()",
        "class A(qt.QWidget):\n def width(self): return 3",
        "class A(qt.QLabel):\n name = 'x'",
    ],
    "i18n": ["_(f'{n} findings')"],
    "length": ["\n" * MOST_LINES],
}
RIGHT = [
    "import qt, ctk, slicer, vtk, json\nimport numpy as np\nfrom HeadCTFindingsLib.core.calls import Calls\nfrom . import signal",
    "qt.QLabel('x')",
    "slicer.util.loadVolume(path, properties={'show': False})",
    "self.addObserver(node, event, f, priority=1.0)",
    "client.submit_calls(study, comment='x')",
    "class A(qt.QWidget):\n def __init__(self, parent=None):\n  super().__init__(parent)",
    "class A(qt.QWidget):\n def paintEvent(self, ev):\n  qt.QWidget.paintEvent(self, ev)",
    "class B(Base):\n def refresh_all(self):\n  super().refresh_all()",
    "self.delegate = BarDelegate(view)\nview.setItemDelegate(self.delegate)",
    "button.clicked.connect(lambda *_: f())",
    "class A:\n def f(self):\n  b.clicked.connect(self.g)\n def g(self, *_): pass",
    "class A:\n def f(self):\n  b.clicked.connect(self.g)\n def g(self, checked=False): pass",
    "button.clicked.connect(other.method)",
    "qt.QImage(b, w, h, qt.QImage.Format_RGBA8888)",
    "x = spin.value",
    "class A(qt.QWidget):\n def sizeHint(self): return qt.QSize(3, 4)",
    "_('{n} findings').format(n=3)",
]


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule, sources in WRONG.items() for source in sources])
def test_a_violation_is_found_by_its_rule(rule: str, source: str) -> None:
    assert rule in rules(source)


@pytest.mark.parametrize("source", RIGHT)
def test_what_pythonqt_accepts_is_left_alone(source: str) -> None:
    assert rules(source) == []


def test_core_may_start_threads() -> None:
    assert rules("import threading", "core/worker.py") == []
    assert rules("import requests", "core/client.py") == ["13"]


def test_a_violation_names_file_line_and_remedy() -> None:
    (found,) = violations_of("\n\nqt.QLabel(text='x')", Path("ui/table.py"))
    assert str(found) == "ui/table.py:3: rule 2: qt.QLabel takes no keyword arguments"


def test_the_slicer_module_keeps_the_rules() -> None:
    found = violations_in(MODULE)
    assert list(MODULE.rglob("*.py")), "the module is not there"
    assert not found, "\n" + "\n".join(map(str, found))
