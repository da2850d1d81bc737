"""The rows of the findings table."""

import pytest

from HeadCTFindingsLib.core.calls import PRESENT, Calls
from HeadCTFindingsLib.core.catalogue import ACUITIES
from HeadCTFindingsLib.core.rows import WAITING, alarms, groups, headline, percent

BLEED, SITE = "intraparenchymal_hemorrhage", "thalamic_hemorrhage"


def all_rows(shown):
    return [row for group in shown for row in group.rows]


@pytest.mark.parametrize("by", ["category", "acuity"])
def test_all_findings_are_there_once_in_every_grouping(catalogue, view, by):
    shown = groups(catalogue, view({BLEED: 4}), by=by)
    assert sorted(row.key for row in all_rows(shown)) == sorted(catalogue.keys)
    assert [group.title for group in shown] == list(ACUITIES if by == "acuity" else catalogue.categories)
    for group in shown:
        assert {getattr(row, by) for row in group.rows} == {group.title}


def test_before_a_prediction_the_table_waits(catalogue):
    row = all_rows(groups(catalogue))[0]
    assert (row.probability, row.threshold, row.statement, row.percent) == (None, None, WAITING, "")


def test_families_above_threshold_come_first_and_parents_before_children(catalogue, view):
    hemorrhage = groups(catalogue, view({SITE: 4, "epidural_hematoma": [4, 5]}))[0]
    keys = [row.key for row in hemorrhage.rows]
    assert keys[:3] == ["epidural_hematoma", BLEED, SITE]
    depths = {row.key: row.depth for row in hemorrhage.rows}
    assert (depths[BLEED], depths[SITE], depths["epidural_hematoma"]) == (0, 1, 0)


def test_one_bleed_is_one_alarm(catalogue, view):
    shown = view({BLEED: 4, SITE: 4})
    hemorrhage = groups(catalogue, shown)[0]
    assert hemorrhage.alarms == 1
    assert sum(row.positive for row in hemorrhage.rows) == 2
    assert alarms(catalogue, shown) == (BLEED,)
    assert headline(catalogue, shown) == (
        "Above threshold: Intraparenchymal hemorrhage (thalamic hemorrhage). 1 finding is not assessed by this model."
    )


def test_a_child_alone_is_an_alarm(catalogue, view):
    assert alarms(catalogue, view({SITE: 4})) == (SITE,)


def test_the_headline_names_the_most_urgent_first_and_rules_nothing_out(catalogue, view):
    text = headline(catalogue, view({"sinusitis": [1, 2], "hydrocephalus": 3, "bone_lesion": 1, "scalp_hematoma": 2}, silent=()))
    assert text.startswith("Above threshold: Hydrocephalus, ")
    assert text.endswith(" and 1 more.")
    assert headline(catalogue, view(silent=())) == "Nothing is above its threshold; that rules nothing out."


def test_nothing_critical_hides_behind_what_is_less_urgent(catalogue, view):
    """Four families above threshold, of which the line names three: the one with hydrocephalus among its members is the first."""
    above = {"ventricular_enlargement": 2, "hydrocephalus": 3, "chronic_infarct": 4, "bone_lesion": 1, "cystic_lesion": 1}
    shown = view(above, silent=())
    assert catalogue["ventricular_enlargement"].acuity != "critical"
    assert alarms(catalogue, shown)[0] == "ventricular_enlargement"
    assert headline(catalogue, shown).startswith("Above threshold: Ventricular enlargement (hydrocephalus), ")
    assert headline(catalogue, shown).endswith(" and 1 more.")


def test_what_the_model_does_not_assess_has_no_number(catalogue, view):
    row = next(row for row in all_rows(groups(catalogue, view())) if row.key == "calvarial_thickening")
    assert (row.probability, row.threshold, row.positive, row.percent) == (None, None, False, "")
    assert "Not assessed by this model." in row.tooltip


def test_the_tooltip_says_what_may_be_said(catalogue, view):
    row = next(row for row in all_rows(groups(catalogue, view())) if row.key == "hydrocephalus")
    assert "Not detected, not ruled out: 5 %, threshold 40 %." in row.tooltip
    assert row.percent == "5 %"


def test_the_filter_finds_synonyms_and_needs_all_words(catalogue, view):
    assert [row.key for row in all_rows(groups(catalogue, text="SDH chronic"))] == ["chronic_subdural_hematoma"]
    assert all_rows(groups(catalogue, text="no such thing")) == []


def test_rows_show_the_readers_calls(catalogue, view):
    calls = Calls(catalogue.keys)
    calls.set(SITE, PRESENT)
    states = {row.key: row.state for row in all_rows(groups(catalogue, view(), calls))}
    assert (states[SITE], states[BLEED]) == (PRESENT, "not_assessed")


@pytest.mark.parametrize(("value", "text"), [(0.001, "< 1 %"), (0.01, "1 %"), (0.5, "50 %"), (0.999, "> 99 %")])
def test_no_probability_reads_as_certainty(value, text):
    assert percent(value) == text
