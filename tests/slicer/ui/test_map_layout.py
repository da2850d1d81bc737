"""Where the router map puts its slices: no slice is lost, none overlaps, and what is drawn is what is clicked."""

from __future__ import annotations

from itertools import pairwise

import pytest

from HeadCTFindingsLib.ui.map_layout import lay_out

SIZES = [(230, 620, 38, 6, True), (230, 620, 400, 6, True), (480, 260, 38, 6, False), (480, 260, 1, 6, False), (300, 500, 40, 0, True)]


@pytest.mark.parametrize(("width", "height", "slices", "experts", "upright"), SIZES)
def test_slices_fill_the_lane_without_gaps(width: int, height: int, slices: int, experts: int, upright: bool) -> None:
    plan = lay_out(width, height, slices, experts, 16, upright)
    spans = sorted(plan.span(index) for index in range(slices))
    start = plan.evidence.top if upright else plan.evidence.left
    assert spans[0][0] == start
    assert spans[-1][1] == start + plan.length
    assert all(low < high for low, high in spans)
    assert all(next_low <= high for (_, high), (next_low, _) in pairwise(spans))


@pytest.mark.parametrize(("width", "height", "slices", "experts", "upright"), SIZES)
def test_what_is_drawn_is_what_is_clicked(width: int, height: int, slices: int, experts: int, upright: bool) -> None:
    plan = lay_out(width, height, slices, experts, 16, upright)
    for index in range(slices):
        band = plan.band(plan.evidence, index)
        centre = round(plan.centre(index))
        at = (band.left + 1, centre) if upright else (centre, band.top + 1)
        if plan.length >= 2 * slices:
            assert plan.slice_at(*at) == index


def test_upright_has_the_most_superior_slice_on_top_and_lying_the_most_inferior_on_the_left() -> None:
    upright, lying = lay_out(230, 620, 38, 6, 16, True), lay_out(480, 260, 38, 6, 16, False)
    assert upright.span(37)[0] < upright.span(0)[0]
    assert lying.span(0)[0] < lying.span(37)[0]


@pytest.mark.parametrize(("width", "height", "slices", "experts", "upright"), SIZES)
def test_lanes_do_not_overlap_and_lie_inside(width: int, height: int, slices: int, experts: int, upright: bool) -> None:
    plan = lay_out(width, height, slices, experts, 16, upright)
    lanes = [plan.attention, plan.evidence, plan.axis, *([plan.heat] if experts else [])]
    for lane in (*lanes, plan.footer):
        assert 0 <= lane.left < lane.right <= width
        assert 0 <= lane.top < lane.bottom <= height
    for lane in lanes:
        assert not any(lane.holds(other.left, other.top) for other in (*lanes, plan.footer) if other is not lane)


def test_a_drag_beyond_the_ends_keeps_the_last_slice() -> None:
    plan = lay_out(480, 260, 38, 6, 16, False)
    assert plan.slice_at(-500, 0) == 0
    assert plan.slice_at(5000, 0) == 37


def test_experts_are_told_apart_only_on_the_heat_map() -> None:
    plan = lay_out(480, 260, 38, 6, 16, False)
    assert plan.expert_at(plan.heat.left, plan.heat.top) == 0
    assert plan.expert_at(plan.heat.left, plan.heat.bottom - 1) == 5
    assert plan.expert_at(plan.heat.left, plan.attention.top) is None
    assert lay_out(300, 500, 40, 0, 16, True).expert_at(100, 100) is None


def test_a_widget_of_no_size_can_be_laid_out() -> None:
    for upright in (True, False):
        plan = lay_out(0, 0, 38, 6, 16, upright)
        assert 0 <= plan.slice_at(0, 0) < 38


@pytest.mark.parametrize(("width", "height", "slices", "experts", "upright"), SIZES)
def test_numbers_along_the_slices_leave_each_other_room(width: int, height: int, slices: int, experts: int, upright: bool) -> None:
    plan = lay_out(width, height, slices, experts, 16, upright)
    numbers = plan.numbered(32)
    places = sorted(plan.centre(number - 1) for number in numbers)
    assert numbers[0] == 1
    assert all(after - before >= 31.9 for before, after in pairwise(places))
    assert len(numbers) > 3 or slices == 1
