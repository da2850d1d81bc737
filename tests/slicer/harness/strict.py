"""What all stand-ins for Slicer's own widgets share: names that the real class lacks raise."""

from __future__ import annotations

from typing import Any


class Strict:
    """Refuses new attributes as PythonQt does for a class of Slicer's (only `_private` ones, which the stand-ins need)."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no property {name}, or the harness does not know it")
        super().__setattr__(name, value)
