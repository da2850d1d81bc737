"""Where a test of Slicer's side can run: with PySide6 in .venv-slicer, or (core, lint) in the main environment."""

from __future__ import annotations

import importlib.util

# The main run has no PySide6, the second run (tests/slicer/harness.ini) has neither torch nor a server.
collect_ignore = ["harness_tests", "ui", "story"] if importlib.util.find_spec("PySide6") is None else ["app", "core", "lint"]

if importlib.util.find_spec("PySide6") is not None:
    pytest_plugins = ["harness.fixtures"]
