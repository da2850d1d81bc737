"""What changed on a study from one version to the next."""

import pytest

from HeadCTFindingsLib.core.comparison import shifts, summary
from HeadCTFindingsLib.core.errors import NotReadable


def test_crossings_come_first_and_what_is_no_longer_detected_is_not_ruled_out(view, catalogue):
    before, after = view({"sinusitis": 4}), view({"midline_shift": 3}, version="2.1")
    found = shifts(before, after)
    texts = [shift.text(catalogue) for shift in found]
    assert {shift.key for shift in found if shift.crossed} == {"sinusitis", "midline_shift"}
    assert "Midline shift: 5 % → 96 %, now above threshold" in texts
    assert any(text.endswith("no longer above threshold, not ruled out") for text in texts)
    assert summary(before, after) == (
        "demo 2.0 · DEMO → demo 2.1 · DEMO: 1 newly above threshold, 1 no longer, 0 others moved by 1 % or more."
    )


def test_a_finding_that_is_assessed_now_is_a_change(view, catalogue):
    before, after = view(silent=("meningioma",)), view(silent=(), version="2.1")
    (shift,) = shifts(before, after)
    assert shift.text(catalogue) == "Meningioma: not assessed → 5 %"
    assert not shift.crossed


def test_the_same_version_says_the_same(view):
    assert shifts(view(), view()) == ()
    assert summary(view(), view()) == "Both are by demo 2.0 · DEMO."


def test_predictions_on_two_studies_are_not_compared(view):
    with pytest.raises(NotReadable):
        shifts(view(study="study-1"), view(study="study-2"))
