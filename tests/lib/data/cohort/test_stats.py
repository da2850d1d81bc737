"""Counts of a cohort, against counting by hand and an independent interval."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from cohorts import long_tail_cohort
from headct_molre.data.cohort import ABSENT, NOT_ASSESSED, PRESENT, UNCERTAIN, Cohort, CohortStudy, split_cohort
from headct_molre.data.cohort.groups import age_band, groups, thickness_band
from headct_molre.data.cohort.report import split_report, stats_report
from headct_molre.data.cohort.stats import cohort_stats, wilson_interval
from headct_molre.findings import finding_keys

SHIFT, EFFECT = finding_keys().index("midline_shift"), finding_keys().index("mass_effect")


@pytest.fixture
def cohort():
    """Five studies of four patients."""
    studies = [
        CohortStudy("a", Path("a"), "P", "train", "North", "GE", "F", 30),
        CohortStudy("b", Path("b"), "P", "train", "North", "GE", "F", 40),
        CohortStudy("c", Path("c"), "Q", "test", "South", None, "M", 80),
        CohortStudy("d", Path("d"), "R", "test", "South", None, None, None),
        CohortStudy("e", Path("e"), "S"),
    ]
    states = np.zeros((5, 75), np.uint8)
    states[:, SHIFT] = [PRESENT, PRESENT, ABSENT, UNCERTAIN, NOT_ASSESSED]
    states[:, EFFECT] = [PRESENT, ABSENT, PRESENT, PRESENT, PRESENT]
    return Cohort(tuple(studies), states)


def test_states_are_counted_and_only_known_ones_make_a_prevalence(cohort):
    stats = cohort_stats(cohort)
    shift = stats.all.findings[SHIFT]
    assert (shift.present, shift.absent, shift.uncertain, shift.not_assessed) == (2, 1, 1, 1)
    assert shift.prevalence == pytest.approx(2 / 3)
    nobody = stats.all.findings[0]
    assert (nobody.not_assessed, nobody.prevalence, nobody.low, nobody.high) == (5, None, None, None)
    assert (stats.all.studies, stats.all.patients) == (5, 4)
    assert stats.all.cardinality == pytest.approx(6 / 5)
    assert stats.all.density == pytest.approx(6 / 5 / 75)
    assert stats.all.assessed == pytest.approx(9 / 375)


def test_by_split_and_by_group(cohort):
    stats = cohort_stats(cohort)
    assert {split: (group.studies, group.patients) for split, group in stats.splits.items()} == {
        "train": (2, 1),
        "test": (2, 2),
        "none": (1, 1),
    }
    assert {name: list(found) for name, found in stats.by.items()} == {
        "site": ["North", "South"],
        "scanner": ["GE"],
        "slice thickness": [],
        "sex": ["F", "M"],
        "age": ["18 to 39 years", "40 to 59 years", "80 years and over"],
    }
    assert stats.by["site"]["South"].findings[EFFECT].present == 2
    assert groups(cohort, "sex") == {"F": [0, 1], "M": [2]}


@pytest.mark.parametrize(("age", "band"), [(17.9, "below 18 years"), (18, "18 to 39 years"), (80, "80 years and over"), (None, None)])
def test_age_bands(age, band):
    assert age_band(age) == band


@pytest.mark.parametrize(("mm", "band"), [(1.5, "up to 1.5 mm"), (1.6, "above 1.5 to 3 mm"), (5, "above 3 to 5 mm"), (7, "above 5 mm")])
def test_thickness_bands(mm, band):
    assert thickness_band(mm) == band


def test_pairs_beside_what_chance_would_make_of_them(cohort):
    (pair,) = cohort_stats(cohort).pairs
    assert {pair.first, pair.second} == {"midline_shift", "mass_effect"}
    assert pair.both == 1
    assert pair.expected == pytest.approx(2 * 2 / 3, abs=0.01)  # known of both: three studies, shift in two, effect in two


@pytest.mark.parametrize(("positives", "total"), [(0, 1), (1, 1), (0, 50), (3, 50), (50, 50), (7214, 72756)])
def test_the_interval_is_wilsons(positives, total):
    expected = binomtest(positives, total).proportion_ci(method="wilson")
    low, high = wilson_interval(np.array([positives]), np.array([total]))
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low[0] <= positives / total <= high[0] <= 1


def test_the_document_is_finite_json_without_patients(cohort):
    document = json.dumps(cohort_stats(cohort).to_json(), allow_nan=False)
    assert json.loads(document)["schema"] == "headct.cohort_stats/1"
    assert "patient" not in json.loads(document)["all"]["findings"][0]


def test_the_reports_hold_what_they_are_for():
    split = split_cohort(long_tail_cohort(400))
    lines = split_report(split).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["train", "validation", "test"]
    assert all("points" in line for line in lines[1:])
    text = stats_report(cohort_stats(split))
    assert all(key in text for key in finding_keys())
    assert "nan" not in text


def test_the_reports_of_a_cohort_without_states():
    bare = Cohort((CohortStudy("a", Path("a"), "P"),), np.zeros((1, 75), np.uint8))
    assert "75 findings are not assessed" in stats_report(cohort_stats(bare))
    assert split_report(split_cohort(bare)).endswith("-")
