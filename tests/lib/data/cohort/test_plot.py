"""The picture of prevalences is drawn for every cohort, with its marks where the numbers are."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from cohorts import long_tail_cohort
from headct_molre.data.cohort import PRESENT, Cohort, CohortStudy, split_cohort
from headct_molre.data.cohort.plot import prevalence_picture
from headct_molre.data.cohort.stats import cohort_stats
from headct_molre.findings import findings


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are made."""
    figures = []

    def remember(figure, *arguments, **options):
        figures.append(figure)
        return saved(figure, *arguments, **options)

    saved = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", remember)
    return figures


def test_every_finding_has_its_line_and_its_counts(drawn):
    stats = cohort_stats(split_cohort(long_tail_cohort(500)))
    assert prevalence_picture(stats, "cohort.csv").startswith(b"\x89PNG")
    texts = [text.get_text() for axes in drawn[0].axes for text in axes.texts]
    for finding, counts in zip(findings(), stats.all.findings, strict=True):
        assert finding.display_name in texts
        assert f"{counts.present} / {counts.present + counts.absent}" in texts
    marked = [line.get_xdata()[0] for axes in drawn[0].axes for line in axes.lines if len(line.get_xdata()) == 1]
    for group in stats.splits.values():
        assert all(any(mark == counts.prevalence for mark in marked) for counts in group.findings if counts.present)


def test_no_two_texts_overlap(drawn):
    prevalence_picture(cohort_stats(split_cohort(long_tail_cohort(500))), "cohort.csv")
    renderer = drawn[0].canvas.get_renderer()
    texts = [*drawn[0].texts, *(text for axes in drawn[0].axes for text in axes.texts)]
    boxes = [text.get_window_extent(renderer) for text in texts]
    clashes = [(texts[i].get_text(), texts[j].get_text()) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
    assert clashes == []
    assert all(box.x0 >= 0 and box.x1 <= drawn[0].bbox.width for box in boxes)


@pytest.mark.parametrize("state", [0, PRESENT])
def test_nothing_assessed_and_everything_present(state):
    cohort = Cohort((CohortStudy("a", Path("a"), "P"),), np.full((1, 75), state, np.uint8))
    assert prevalence_picture(cohort_stats(cohort), "$a_title$ with signs").startswith(b"\x89PNG")
