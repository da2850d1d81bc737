"""A reader's calls: click again clears, undo and redo, the rest reviewed absent, and what is kept in the scene."""

import json

import pytest

from HeadCTFindingsLib.core.calls import ABSENT, NOT_ASSESSED, PRESENT, UNCERTAIN, Calls, Change
from HeadCTFindingsLib.core.errors import NotReadable

BLEED, SITE, SHIFT = "intraparenchymal_hemorrhage", "thalamic_hemorrhage", "midline_shift"


@pytest.fixture
def calls(catalogue):
    return Calls(catalogue.keys)


def test_nothing_is_called_before_somebody_calls_it(calls):
    assert calls.state(BLEED) == NOT_ASSESSED
    assert calls.called == {}
    assert calls.counts == {PRESENT: 0, UNCERTAIN: 0, ABSENT: 0, NOT_ASSESSED: 75}
    assert not calls.dirty
    assert not calls.submittable
    assert calls.undo() == calls.redo() == ()


def test_a_click_calls_and_the_same_click_again_clears(calls):
    assert calls.toggle(SHIFT, PRESENT) == PRESENT
    assert calls.toggle(SHIFT, UNCERTAIN) == UNCERTAIN
    assert calls.toggle(SHIFT, UNCERTAIN) == NOT_ASSESSED
    assert calls.called == {}


def test_undo_and_redo_go_through_all_steps(calls):
    calls.set(SHIFT, PRESENT)
    calls.set(SHIFT, ABSENT)
    calls.clear(SHIFT)
    seen = []
    while calls.undo_text:
        calls.undo()
        seen.append(calls.state(SHIFT))
    assert seen == [ABSENT, PRESENT, NOT_ASSESSED]
    while calls.redo_text:
        calls.redo()
    assert calls.state(SHIFT) == NOT_ASSESSED
    calls.undo()
    assert calls.redo_text == f"{SHIFT}: {NOT_ASSESSED}"
    calls.set(BLEED, PRESENT)
    assert calls.redo_text is None  # another way was taken


def test_the_same_state_again_is_no_step(calls):
    assert calls.set(SHIFT, PRESENT)
    assert not calls.set(SHIFT, PRESENT)
    calls.undo()
    assert calls.undo_text is None


def test_everybody_who_listens_hears_of_every_change(catalogue):
    heard = []
    calls = Calls(catalogue.keys, heard.append)
    calls.set(SHIFT, PRESENT)
    calls.undo()
    assert heard == [(Change(SHIFT, NOT_ASSESSED, PRESENT),), (Change(SHIFT, PRESENT, NOT_ASSESSED),)]


def test_the_rest_is_marked_in_one_step_with_the_count_that_was_confirmed(calls, catalogue):
    calls.set(SHIFT, PRESENT)
    calls.set("sinusitis", ABSENT)
    plan = calls.rest(catalogue, above=("hydrocephalus",))
    assert len(plan.keys) == 73
    assert plan.above == ("hydrocephalus",)
    assert "73 findings" in plan.sentence
    assert "1 of them is above" in plan.sentence
    assert calls.mark_rest_absent(plan) == 73
    assert calls.counts[ABSENT] == 74
    calls.undo()
    assert calls.called == {SHIFT: PRESENT, "sinusitis": ABSENT}


def test_the_rest_never_contradicts_what_was_called(calls, catalogue):
    calls.set(SITE, PRESENT)
    plan = calls.rest(catalogue)
    assert plan.kept == (BLEED,)
    assert "1 stays not assessed" in plan.sentence
    calls.mark_rest_absent(plan)
    assert calls.state(BLEED) == NOT_ASSESSED
    assert calls.contradictions(catalogue) == ()
    calls.set("subfalcine_herniation", UNCERTAIN)
    calls.clear("mass_effect")
    calls.clear("sinusitis")
    assert "2 stay" in calls.rest(catalogue).sentence


def test_a_contradiction_is_named(calls, catalogue):
    calls.set(SITE, PRESENT)
    calls.set(BLEED, ABSENT)
    (sentence,) = calls.contradictions(catalogue)
    assert "Thalamic hemorrhage is present" in sentence
    calls.set(SITE, UNCERTAIN)
    assert calls.contradictions(catalogue) == ()


def test_with_nothing_left_there_is_nothing_to_mark(calls):
    calls.mark_rest_absent(calls.rest())
    plan = calls.rest()
    assert "nothing left" in plan.sentence
    assert calls.mark_rest_absent(plan) == 0


def test_one_finding_and_several_above_are_counted_in_words(catalogue):
    calls = Calls([SHIFT])
    assert "Mark 1 finding as" in calls.rest().sentence
    assert "2 of them are" in Calls([SHIFT, BLEED]).rest(above=[SHIFT, BLEED]).sentence


def test_unsaved_is_what_differs_from_the_last_submission(calls):
    calls.set(SHIFT, PRESENT)
    assert calls.dirty
    assert calls.submittable
    calls.mark_submitted()
    assert not calls.dirty
    calls.comment = "second look"
    assert calls.submittable
    calls.mark_submitted(calls.called, "second look")
    calls.undo()
    assert calls.dirty
    assert not calls.submittable  # the server takes no empty submission


def test_calls_go_into_the_scene_and_come_back(calls, catalogue):
    calls.set(SHIFT, PRESENT)
    calls.mark_submitted()
    calls.set(BLEED, UNCERTAIN)
    calls.comment = "motion"
    document = json.loads(json.dumps(calls.to_json()))
    again = Calls.from_json(document, catalogue.keys)
    assert again.called == {BLEED: UNCERTAIN, SHIFT: PRESENT}
    assert again.comment == "motion"
    assert again.dirty
    assert again.to_json() == document
    fewer = Calls.from_json(document, [BLEED])
    assert fewer.called == {BLEED: UNCERTAIN}


@pytest.mark.parametrize("document", [None, {}, {"schema": "headct.calls/9"}, {"schema": "headct.calls/1", "findings": 3}])
def test_a_damaged_scene_is_refused(document):
    with pytest.raises(NotReadable):
        Calls.from_json(document, [BLEED])


def test_unknown_findings_and_states_are_refused(calls):
    with pytest.raises(KeyError):
        calls.set("hair_loss", PRESENT)
    with pytest.raises(ValueError, match="perhaps"):
        calls.set(SHIFT, "perhaps")
