"""The slice view and the model's slices, on the real slice view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from harness.event_loop import process
from HeadCTFindingsLib.core.frame import Frame
from HeadCTFindingsLib.scene.slice_link import SliceLink


@pytest.fixture
def moves() -> list[int | None]:
    """What the link said."""
    return []


@pytest.fixture
def link(slicer: Any, moves: list[int | None]) -> Iterator[SliceLink]:
    """Tied to slices of 4 mm whose gantry was tilted by 20 degrees, while the view is axial."""
    angle = np.radians(20)
    steps = np.zeros((4, 4))
    steps[2, 0], steps[1, 1], steps[0, 2], steps[3, 3] = 4, -1, 1, 1
    steps[:3, 3] = -steps[:3, :3] @ [14.5, 119.5, 95.5]
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    made = SliceLink(moves.append)
    made.start()
    made.show(Frame(turn @ steps, (30, 240, 192)))
    yield made
    made.stop()


@pytest.mark.parametrize("pan_mm", [(0, 0), (0, 60), (-40, -70)], ids=str)
def test_a_jump_leads_to_its_slice_in_a_tilted_view_wherever_it_was_moved_to(
    slicer: Any, link: SliceLink, moves: list[int | None], pan_mm: tuple[float, float]
) -> None:
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    matrix = node.GetSliceToRAS()
    for axis, shift in enumerate(pan_mm):
        matrix.SetElement(axis, 3, matrix.GetElement(axis, 3) + shift)
    node.UpdateMatrices()
    for index in (4, 15, 25):
        link.jump(index)
        process(0.05)
        assert link.index == index
        assert moves[-1] == index
