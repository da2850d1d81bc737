"""The signal in plain Python."""

from __future__ import annotations

import pytest

from HeadCTFindingsLib.ui.signal import Signal


def test_slots_are_called_in_the_order_of_connection() -> None:
    said, signal = [], Signal()
    signal.connect(lambda value: said.append(("first", value)))
    signal.connect(lambda value: said.append(("second", value)))
    signal.emit(3)
    assert said == [("first", 3), ("second", 3)]


def test_a_slot_connected_twice_is_called_once_and_not_after_it_was_disconnected() -> None:
    said: list[int] = []
    signal = Signal()
    signal.connect(said.append)
    signal.connect(said.append)
    signal.emit(1)
    signal.disconnect(said.append)
    signal.disconnect(said.append)
    signal.emit(2)
    assert said == [1]


def test_disconnecting_without_a_slot_forgets_all() -> None:
    said: list[int] = []
    signal = Signal()
    signal.connect(said.append)
    signal.disconnect()
    signal.emit(1)
    assert said == []


def test_a_slot_may_disconnect_itself() -> None:
    said, signal = [], Signal()

    def once(value: int) -> None:
        said.append(value)
        signal.disconnect(once)

    signal.connect(once)
    signal.connect(lambda value: said.append(-value))
    signal.emit(1)
    signal.emit(2)
    assert said == [1, -1, -2]


def test_what_a_slot_raises_reaches_the_emitter() -> None:
    signal = Signal()
    signal.connect(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        signal.emit()
