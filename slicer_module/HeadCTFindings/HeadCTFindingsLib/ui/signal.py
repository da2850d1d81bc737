"""A signal in plain Python.

`qt.Signal` is reported to crash under PythonQt (https://discourse.slicer.org/t/custom-signal-slots-with-pythonqt/3278), so the widgets of
this module tell what happened through this class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls what is connected, in the order of connection and on the emitter's thread; an exception of a slot reaches the emitter."""

    def __init__(self, meaning: str = "") -> None:
        self.meaning = meaning
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Have `slot` called with what is emitted; connecting it again changes nothing."""
        if slot not in self._slots:
            self._slots.append(slot)

    def disconnect(self, slot: Callable[..., Any] | None = None) -> None:
        """Forget `slot`, or all slots; one that is not connected is no error."""
        self._slots = [] if slot is None else [known for known in self._slots if known != slot]

    def emit(self, *values: Any) -> None:
        """Call every slot; one that is disconnected meanwhile by another is still called this time."""
        for slot in tuple(self._slots):
            slot(*values)
