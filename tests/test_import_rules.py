"""Who may import whom (DESIGN, section 3), and that nothing here ever unpickles."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("lib", "apps", "slicer_module", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
SLICER_OR_QT = {"PySide2", "PySide6", "PyQt5", "PyQt6", "qt", "ctk", "slicer", "vtk"}
APP_MAY_IMPORT = {"headct_molre", "monailabel", "lib", "fastapi", "starlette", "pydantic", "uvicorn", "h11", "prometheus_client"}
UNPICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def files(folder: str, pattern: str = "**/*.py") -> list:
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in sorted((ROOT / folder).glob(pattern))]


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the absolute imports of a file, wherever they stand in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", files("lib"))
def test_the_library_knows_neither_monai_label_nor_slicer_nor_the_app(path):
    assert not set(imported(path)) & ({"monailabel", "apps", "lib", "main"} | SLICER_OR_QT)


@pytest.mark.parametrize("path", files("apps"))
def test_the_app_holds_no_science(path):
    allowed = APP_MAY_IMPORT | set(sys.stdlib_module_names)
    if path.parent.name == "bootstrap":
        allowed = set(sys.stdlib_module_names) | {"pydicom"}
    assert set(imported(path)) <= allowed


@pytest.mark.parametrize("path", [*files("slicer_module", "**/core/**/*.py"), *files("slicer_module", "**/app/**/*.py")])
def test_the_core_of_the_slicer_module_and_what_is_behind_its_panels_need_only_what_slicer_brings(path):
    assert set(imported(path)) <= set(sys.stdlib_module_names) | {"numpy", "HeadCTFindingsLib"}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in SOURCES])
def test_nothing_unpickles(path):
    assert not set(imported(path)) & UNPICKLES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            call = f"{node.func.value.id}.{node.func.attr}"
            assert call not in {"torch.load", "torch.save"}, f"{call} in line {node.lineno}: use safetensors"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False"
