"""The extension's build files name what is there: an unlisted file would be missing in the installed extension."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from extension_files import CMAKE, MODULE, expected, listed

ROOT = Path(__file__).resolve().parents[3]
EXTENSION = ROOT / "slicer_module"


def test_cmake_lists_every_python_file_and_resource() -> None:
    assert listed(CMAKE.read_text()) == expected(), "run python tests/extension_files.py"


def test_every_package_has_its_init() -> None:
    folders = {path.parent for path in (MODULE / "HeadCTFindingsLib").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_other_python_file_looks_like_a_module() -> None:
    assert [path.name for path in MODULE.glob("*.py")] == ["HeadCTFindings.py"]


def test_the_catalogue_entry_has_what_the_index_requires() -> None:
    entry = json.loads((EXTENSION / "HeadCTFindings.json").read_text())
    assert {"$schema", "category", "scm_url"} <= set(entry)
    assert set(entry) <= {"$schema", "build_dependencies", "build_subdirectory", "category", "scm_revision", "scm_url", "tier"}
    assert entry["build_subdirectory"] == ".", "this names the inner build of a superbuild, not a folder of sources"
    assert "include(slicer_module/CMakeLists.txt)" in (ROOT / "CMakeLists.txt").read_text(), "the index builds the root of a repository"
    cmake = (EXTENSION / "CMakeLists.txt").read_text()
    assert f'EXTENSION_REPOSITORY "{entry["scm_url"].removesuffix(".git")}"' in cmake
    assert f'EXTENSION_CATEGORY "{entry["category"]}"' in cmake
    assert "not a device" in cmake


def test_the_licence_is_the_repositorys() -> None:
    assert (EXTENSION / "LICENSE.txt").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_icons_are_square_and_of_slicers_size() -> None:
    for icon in (EXTENSION / "HeadCTFindings.png", MODULE / "Resources" / "Icons" / "HeadCTFindings.png"):
        assert struct.unpack(">II", icon.read_bytes()[16:24]) == (128, 128)
