"""What all stand-ins for Slicer's own widgets share: names that the real class lacks raise."""

from __future__ import annotations

import weakref
from typing import Any

import shiboken6


class Strict:
    """Refuses new attributes as PythonQt does for a class of Slicer's (only `_private` ones, which the stand-ins need)."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no property {name}, or the harness does not know it")
        super().__setattr__(name, value)


def observe(widget: Any, subject: Any, event: Any, method: str) -> int:
    """Call the widget's `method` at a VTK event for as long as the widget lives, as Slicer's qvtk connections do; the observer's tag."""
    held = weakref.ref(widget)

    def heard(*_: Any) -> None:
        living = held()
        if living is not None and shiboken6.isValid(living):
            getattr(living, method)()

    return subject.AddObserver(event, heard)
