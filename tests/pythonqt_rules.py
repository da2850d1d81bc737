"""Finds what PySide6 allows and PythonQt does not, in the source of the Slicer module (rules in docs/slicer_development.md).

It reads the syntax tree only, so it needs neither Qt nor Slicer. `python tests/pythonqt_rules.py slicer_module` prints the
violations and ends with 1 where there are any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SLICER_NAMES = frozenset({"qt", "ctk", "slicer", "vtk"})
MAY_IMPORT = SLICER_NAMES | {"numpy", "HeadCTFindings", "HeadCTFindingsLib"} | sys.stdlib_module_names
WRONG_BINDINGS = frozenset({"PySide2", "PySide6", "PyQt5", "PyQt6", "PythonQt", "shiboken6"})
THREADS = frozenset({"QThread", "QThreadPool", "QRunnable", "QMutex", "QMutexLocker", "QSemaphore", "QWaitCondition"})
PYSIDE_ONLY = frozenset({"Signal", "Slot", "Property", "QRegExp"})
LOSES_REFERENCE = re.compile(r"set(ItemDelegate\w*|Model|SourceModel|Validator|Completer)|installEventFilter")
SENDS_BOOL = frozenset({"clicked", "toggled", "triggered"})
ONE_WORD_METHODS = frozenset({"connect", "disconnect", "emit", "singleShot", "start"})
CAMEL = re.compile(r"[a-z]+(?:[A-Z]\w*)")
MOST_LINES = 400
_CONTAINERS = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
# The properties of QWidget and the item views (a test in the harness holds the list against Qt's own), without the two
# that are virtual functions too and may be overridden.
_PROPERTY_NAMES = """
acceptDrops accessibleDescription accessibleName alternatingRowColors autoFillBackground autoScroll autoScrollMargin
baseSize childrenRect childrenRegion contextMenuPolicy cursor defaultDropAction dragDropMode dragDropOverwriteMode
dragEnabled editTriggers enabled focus focusPolicy font frameGeometry frameRect frameShadow frameShape frameSize
frameWidth fullScreen geometry height horizontalScrollBarPolicy horizontalScrollMode iconSize inputMethodHints
isActiveWindow layoutDirection lineWidth locale maximized maximumHeight maximumSize maximumWidth midLineWidth
minimized minimumHeight minimumSize minimumWidth modal mouseTracking name normalGeometry objectName palette pos rect
selectionBehavior selectionMode showDropIndicator size sizeAdjustPolicy sizeIncrement sizePolicy statusTip styleSheet
tabKeyNavigation tabletTracking textElideMode toolTip toolTipDuration updatesEnabled verticalScrollBarPolicy
verticalScrollMode visible whatsThis width windowFilePath windowIcon windowIconText windowModality windowModified
windowOpacity windowTitle x y
"""
WIDGET_PROPERTIES = frozenset(_PROPERTY_NAMES.split())


@dataclass(frozen=True)
class Violation:
    """One place that breaks a rule; prints as `file:line: rule N: what to do`."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: rule {self.rule}: {self.text}"


def _root(node: ast.expr) -> str:
    """The first name of a dotted expression: `qt` of `qt.Qt.AlignLeft`."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_qt_class(node: ast.expr) -> bool:
    """Whether an expression names a class of Qt, ctk or Slicer's widgets: `qt.QLabel`, `ctk.ctkSliderWidget`, `slicer.qMRMLWidget`."""
    name = _dotted(node)
    return bool(re.fullmatch(r"(qt\.Q\w+|ctk\.\w+|slicer\.q(MRML|Slicer)\w+)", name))


class _Rules(ast.NodeVisitor):
    def __init__(self, path: Path, may_start_threads: bool) -> None:
        self.path = path
        self.may_start_threads = may_start_threads
        self.found: list[Violation] = []
        self.classes: list[ast.ClassDef] = []

    def say(self, node: ast.AST, rule: str, text: str) -> None:
        self.found.append(Violation(self.path, getattr(node, "lineno", 1), rule, text))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0:
            self._import(node, node.module or "")
        for alias in node.names:
            if node.module == "qt":
                self._qt_name(node, alias.name)

    def _import(self, node: ast.AST, name: str) -> None:
        first = name.split(".")[0]
        if first in WRONG_BINDINGS:
            self.say(node, "13", f"import names from qt, ctk, slicer and vtk only, not from {first}")
        elif first not in MAY_IMPORT:
            self.say(node, "13", f"{first} is not in Slicer's Python: nothing is installed into it")
        elif first in ("threading", "concurrent", "multiprocessing", "queue", "asyncio") and not self.may_start_threads:
            self.say(node, "12", f"{first} belongs into core/worker.py: the user interface starts no thread")

    def _qt_name(self, node: ast.AST, name: str) -> None:
        if name in THREADS:
            self.say(node, "12", f"qt.{name} blocks or crashes in PythonQt: use core/worker.py")
        elif name in PYSIDE_ONLY:
            self.say(node, "13", f"qt.{name} is not for PythonQt: use ui/signal.py, a plain attribute or QRegularExpression")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id == "qt":
            self._qt_name(node, node.attr)
        if node.attr == "value" and _dotted(node).startswith("qt.") and _dotted(node).count(".") >= 3:
            self.say(node, "7", "an enum of Qt has no .value in PythonQt")
        if node.attr.startswith("Format_RGB888") or node.attr.startswith("Format_BGR888"):
            self.say(node, "8", "rows of RGB888 garble: use RGBA8888")
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if isinstance(item.context_expr, ast.Call) and _is_qt_class(item.context_expr.func):
                self.say(node, "11", f"{_dotted(item.context_expr.func)} is no context manager in PythonQt: end it explicitly")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(_is_qt_class(base) for base in node.bases):
            for statement in node.body:
                for name in _defined(statement):
                    if name in WIDGET_PROPERTIES:
                        self.say(statement, "13", f"{node.name}.{name} hides the property {name} of Qt: choose another name")
        self.classes.append(node)
        self.generic_visit(node)
        self.classes.pop()

    def visit_Call(self, node: ast.Call) -> None:
        self._keywords(node)
        self._super(node)
        self._connect(node)
        self._references(node)
        name = _dotted(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "setData" and node.args and isinstance(node.args[0], _CONTAINERS):
            self.say(node, "9", "a list in item data comes back as a tuple, and a dict not at all: store JSON or an id")
        if name == "qt.QImage" and len(node.args) >= 5:
            self.say(node, "8", "PythonQt has no QImage(bytes, width, height, bytesPerLine, format): use RGBA8888 without bytesPerLine")
        if (
            name == "bytes"
            and node.args
            and isinstance(node.args[0], ast.Call)
            and re.search(r"\.(readAll|toUtf8|toLatin1|toBase64)$", _dotted(node.args[0].func))
        ):
            self.say(node, "8", "bytes(QByteArray) fails in PythonQt: use .data()")
        if name == "int" and node.args and _dotted(node.args[0]).startswith("qt."):
            self.say(node, "7", "an enum of Qt is no int on Qt6")
        if name in ("_", "tr", "translate") and any(isinstance(arg, ast.JoinedStr) for arg in node.args):
            self.say(node, "i18n", "an f-string cannot be translated: use .format() after _()")
        self.generic_visit(node)

    def _keywords(self, node: ast.Call) -> None:
        if not node.keywords:
            return
        if _is_qt_class(node.func):
            self.say(node, "2", f"{_dotted(node.func)} takes no keyword arguments")
        elif isinstance(node.func, ast.Attribute) and not _dotted(node.func).startswith(("slicer.util.", "slicer.packaging.", "logging.")):
            method = node.func.attr
            if (CAMEL.fullmatch(method) and method != "addObserver") or method in ONE_WORD_METHODS:
                self.say(node, "2", f"{method}() of Qt or VTK takes no keyword arguments")

    def _super(self, node: ast.Call) -> None:
        func = node.func
        if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Call) and _dotted(func.value.func) == "super"):
            return
        of_qt = bool(self.classes) and any(_is_qt_class(base) for base in self.classes[-1].bases)
        if func.attr != "__init__" and (of_qt or CAMEL.fullmatch(func.attr)):
            self.say(node, "4", f"super().{func.attr}() fails in PythonQt: call the class, e.g. qt.QWidget.{func.attr}(self, ...)")

    def _connect(self, node: ast.Call) -> None:
        if not (isinstance(node.func, ast.Attribute) and node.func.attr in ("connect", "disconnect") and node.args):
            return
        signal, slot = node.func.value, node.args[0]
        if isinstance(signal, ast.Subscript):
            self.say(node, "6", "signal[type] is not in PythonQt: connect the signal by its name")
        if (isinstance(slot, ast.Constant) and isinstance(slot.value, str)) or _dotted(node.func) == "qt.QObject.connect":
            self.say(node, "6", "connect by object.signal.connect(function)")
        if isinstance(signal, ast.Attribute) and signal.attr in SENDS_BOOL and not self._takes_bool(slot):
            self.say(node, "6", f"the slot of {signal.attr} must accept an argument or none: write (*_)")

    def _takes_bool(self, slot: ast.expr) -> bool:
        """Whether a slot takes `checked` or leaves it; true where the definition is elsewhere."""
        if isinstance(slot, ast.Lambda):
            return _accepts_any(slot.args, 0)
        if isinstance(slot, ast.Attribute) and _dotted(slot.value) == "self" and self.classes:
            for statement in self.classes[-1].body:
                if isinstance(statement, ast.FunctionDef) and statement.name == slot.attr:
                    return _accepts_any(statement.args, 1)
        return True

    def _references(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and LOSES_REFERENCE.fullmatch(node.func.attr):
            made = [
                arg for arg in node.args if isinstance(arg, ast.Call) and re.match(r"[A-Z]|qt\.Q", _dotted(arg.func).removeprefix("ctk."))
            ]
            if made:
                self.say(node, "5", f"keep what {node.func.attr} takes in an attribute: PythonQt does not hold it")


def _accepts_any(arguments: ast.arguments, bound: int) -> bool:
    """Whether a function can be called with no argument and with one, after `bound` (self)."""
    required = len(arguments.args) - bound - len(arguments.defaults)
    return required <= 0 and (arguments.vararg is not None or len(arguments.args) > bound)


def _defined(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a class body defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def violations_of(source: str, path: Path) -> list[Violation]:
    """The violations in one file's text, in order of lines. Raises SyntaxError for what is no Python."""
    rules = _Rules(path, bool({"core", "Testing"} & set(path.parts)))
    rules.visit(ast.parse(source, str(path)))
    lines = source.count("\n") + 1
    if lines > MOST_LINES:
        rules.found.append(Violation(path, lines, "length", f"{lines} lines, at most {MOST_LINES}: one file, one concept"))
    return sorted(rules.found, key=lambda violation: violation.line)


def violations_in(folder: Path) -> list[Violation]:
    """The violations in all Python files below a folder."""
    return [violation for path in sorted(folder.rglob("*.py")) for violation in violations_of(path.read_text(encoding="utf-8"), path)]


if __name__ == "__main__":
    listed = [violation for argument in sys.argv[1:] for violation in violations_in(Path(argument))]
    print(*listed, sep="\n")
    sys.exit(1 if listed else 0)
