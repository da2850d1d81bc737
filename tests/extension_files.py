"""The files of the Slicer module that CMake has to name: `python tests/extension_files.py` writes them into its CMakeLists.txt."""

from __future__ import annotations

import re
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "slicer_module" / "HeadCTFindings"
CMAKE = MODULE / "CMakeLists.txt"
NOT_INSTALLED = {"Testing", "CMakeLists.txt"}


def expected() -> dict[str, list[str]]:
    """The entries of CMake's two lists, from what is there; hidden files and byte code are left out."""
    paths = (path.relative_to(MODULE) for path in sorted(MODULE.rglob("*")) if path.is_file())
    names = [
        path.as_posix()
        for path in paths
        if path.parts[0] not in NOT_INSTALLED and path.suffix != ".pyc" and not any(part.startswith(".") for part in path.parts)
    ]
    scripts = sorted(name for name in names if name.endswith(".py"))
    return {"MODULE_PYTHON_SCRIPTS": scripts, "MODULE_PYTHON_RESOURCES": sorted(set(names) - set(scripts))}


def listed(text: str) -> dict[str, list[str]]:
    """The entries that the text of a CMakeLists.txt has."""
    found = {}
    for variable in expected():
        match = re.search(rf"set\({variable}\s([^)]*)\)", text)
        found[variable] = match.group(1).split() if match else []
    return found


def with_lists(text: str) -> str:
    """The text of a CMakeLists.txt with the lists replaced."""
    for variable, names in expected().items():
        entries = "".join(f"  {name}\n" for name in names)
        text = re.sub(rf"set\({variable}\s[^)]*\)", f"set({variable}\n{entries}  )", text)
    return text


if __name__ == "__main__":
    CMAKE.write_text(with_lists(CMAKE.read_text(encoding="utf-8")), encoding="utf-8")
