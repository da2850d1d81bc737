"""What every test in the harness gets: the application, and a failure for each exception that PythonQt would swallow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .application import application
from .event_loop import process

application()  # from here on `import qt` works in any test module


@pytest.fixture(autouse=True)
def app() -> Iterator[Any]:
    """The harness application; the test fails at its end for every exception inside a slot, an event or a paint."""
    running = application()
    running.take_unhandled()
    yield running
    process(0)
    for widget in running.qt_application.topLevelWidgets():
        widget.close()
        widget.deleteLater()
    process(0)
    unhandled = running.take_unhandled()
    assert not unhandled, "exceptions in Qt callbacks:\n" + "\n".join(unhandled)
