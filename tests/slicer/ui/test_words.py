"""What stands beside a bar: nothing ever reads as ruled out, however little room there is."""

from __future__ import annotations

import pytest

from HeadCTFindingsLib.core.calls import Calls
from HeadCTFindingsLib.core.catalogue import Catalogue
from HeadCTFindingsLib.core.prediction import PredictionView
from HeadCTFindingsLib.core.rows import Group, Row, groups
from HeadCTFindingsLib.ui.bar_delegate import statements, summary
from HeadCTFindingsLib.ui.findings_toolbar import changed, narrowed


@pytest.fixture
def rows(catalogue: Catalogue, view: PredictionView, calls: Calls) -> dict[str, Row]:
    return {row.key: row for group in groups(catalogue, view, calls) for row in group.rows}


def test_below_threshold_every_text_says_not_ruled_out(rows: dict[str, Row]) -> None:
    row = rows["epidural_hematoma"]
    assert statements(row) == ("not detected, not ruled out", "not ruled out")
    assert statements(row, 0.61)[0] == "was 61 %, not detected, not ruled out"
    assert statements(row, 0.61)[-1] == "not ruled out"


def test_above_threshold_the_threshold_is_named_and_what_is_critical(rows: dict[str, Row]) -> None:
    assert statements(rows["subdural_hematoma"]) == ("critical, above threshold 40 %", "critical, above 40 %", "above 40 %", "above")


def test_texts_get_shorter(rows: dict[str, Row]) -> None:
    for row in rows.values():
        for before in (None, 0.3):
            lengths = [len(text) for text in statements(row, before)]
            assert lengths[-1] == min(lengths)


def test_a_heading_counts_families_and_says_how_many_are_not_assessed(rows: dict[str, Row]) -> None:
    group = Group("Hemorrhage", (rows["subdural_hematoma"], rows["intracranial_lipoma"]))
    assert summary(group)[0] == "1 above threshold, 1 of 2 not assessed"
    assert summary(Group("Hemorrhage", (rows["epidural_hematoma"],))) == ("none above threshold", "0 above")


@pytest.mark.parametrize(
    ("before", "now", "threshold", "told"),
    [
        (0.10, 0.14, 0.4, False),
        (0.10, 0.16, 0.4, True),
        (0.39, 0.41, 0.4, True),
        (0.41, 0.43, 0.4, False),
        (0.39, 0.41, float("nan"), False),
    ],
)
def test_what_counts_as_changed(before: float, now: float, threshold: float, told: bool) -> None:
    assert changed(before, now, threshold) is told


def test_groups_that_are_left_empty_go(catalogue: Catalogue, view: PredictionView, calls: Calls) -> None:
    every = groups(catalogue, view, calls)
    assert narrowed(every, "called", {}) == ()
    assert narrowed(every, "all", {}) == every
