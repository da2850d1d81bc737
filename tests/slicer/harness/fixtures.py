"""What every test in the harness gets: the application, and a failure for each exception that PythonQt would swallow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from . import dialogs
from .application import application
from .event_loop import process
from .session import start

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
        if widget.objectName not in ("qSlicerMainWindow", "CentralWidgetLayoutFrame"):  # the views, before there is a window around them
            widget.deleteLater()
    process(0)
    unhandled = running.take_unhandled()
    assert not unhandled, "exceptions in Qt callbacks:\n" + "\n".join(unhandled)


@pytest.fixture
def slicer() -> Iterator[Any]:
    """The `slicer` module on a real, empty MRML scene; settings, layout and expected dialogs are clean again for each test."""
    running = start()
    import qt

    qt.QSettings().clear()
    yield running
    running.app.window().moduleSelector().selectModule("")
    running.mrmlScene.Clear(0)
    running.app.setTesting(False)
    running.app.layoutManager().setLayout(running.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    dialogs.take_asked()
    assert not dialogs.unused(), "a dialog that the test expected did not come"
