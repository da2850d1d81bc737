"""Labels from the submissions of several readers, by each rule."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headct_molre.data.store import StudyStore, derive_label
from headct_molre.data.store.labels import LABEL_RULES
from headct_molre.errors import InvalidRequest
from headct_molre.server.config import load_server_config
from reading_room import FINDING, reading

P, A, U, N = "present", "absent", "uncertain", "not_assessed"
RULES = sorted(LABEL_RULES)
ORDER_FREE = sorted(set(LABEL_RULES) - {"latest"})

TABLE = [
    # calls in the order of their arrival: majority, unanimous, latest, any_present
    ([P], P, P, P, P),
    ([A], A, A, A, A),
    ([U], U, U, U, U),
    ([N], None, None, None, None),
    ([P, A], U, U, A, P),
    ([A, P], U, U, P, P),
    ([P, A, A], A, U, A, P),
    ([P, N, N], P, P, P, P),
    ([P, P, N], P, P, P, P),
    ([P, A, U], U, U, U, P),
    ([U, P, P], P, U, P, P),
    ([A, A, U], A, U, U, U),
    ([A, U, U], U, U, U, U),
    ([A, N, A], A, A, A, A),
    ([P, P, A, A, U], U, U, U, P),
    ([P, P, U, A], P, U, A, P),
]


def label(states, rule):
    return derive_label([reading("study-1", f"reader-{i}", **{FINDING: state}) for i, state in enumerate(states)], rule).get(FINDING)


@pytest.mark.parametrize(("states", "majority", "unanimous", "latest", "any_present"), TABLE)
def test_the_label_of_each_rule(states, majority, unanimous, latest, any_present):
    assert label(states, "majority") == majority
    assert label(states, "unanimous") == unanimous
    assert label(states, "latest") == latest
    assert label(states, "any_present") == any_present


@pytest.mark.parametrize("rule", RULES)
def test_a_later_submission_of_a_reader_replaces_the_earlier_one_as_a_whole(rule):
    first = reading("study-1", "anna", hydrocephalus="present", midline_shift="present")
    assert derive_label([first, reading("study-1", "anna", hydrocephalus="absent")], rule) == {"hydrocephalus": "absent"}
    taken_back = reading("study-1", "anna", hydrocephalus="not_assessed")
    assert derive_label([first, taken_back], rule) == {}


def test_latest_goes_by_when_a_reader_submitted_last():
    sent = [reading("study-1", reader, hydrocephalus=state) for reader, state in (("anna", P), ("ben", U), ("anna", A))]
    assert derive_label(sent, "latest") == {"hydrocephalus": A}


states = st.lists(st.sampled_from([P, A, U, N]), min_size=1, max_size=6)


@given(states=states, rule=st.sampled_from(RULES), place=st.integers(0, 6))
def test_a_reader_who_did_not_assess_changes_nothing(states, rule, place):
    assert label([*states[:place], N, *states[place:]], rule) == label(states, rule)


@given(states=states, rule=st.sampled_from(RULES))
def test_a_label_is_what_somebody_said_or_uncertain_and_never_not_assessed(states, rule):
    said = set(states) - {N}
    assert label(states, rule) in ((said | {U}) if said else {None})


@given(states=states.filter(lambda states: len(states) < 5), rule=st.sampled_from(ORDER_FREE))
def test_the_order_of_readers_does_not_matter(states, rule):
    assert {label(order, rule) for order in permutations(states)} == {label(states, rule)}


@given(state=st.sampled_from([P, A, U]), count=st.integers(1, 5), rule=st.sampled_from(RULES))
def test_readers_who_agree_are_believed(state, count, rule):
    assert label([state] * count, rule) == state


def test_the_store_uses_its_rule(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    for rule, expected in (("majority", U), ("any_present", P)):
        store = StudyStore(url, label_rule=rule)
        if rule == "majority":
            for reader, state in (("anna", P), ("ben", A)):
                store.submissions.add(reading("study-1", reader, **{FINDING: state}))
        assert store.submissions.label("study-1") == {FINDING: expected}
        store.close()


def test_a_rule_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidRequest) as refused:
        derive_label([], "mean")
    assert refused.value.code == "unknown_label_rule"
    with pytest.raises(InvalidRequest, match="any_present"):
        StudyStore(f"sqlite:///{tmp_path / 'store.sqlite'}", label_rule="mean")
    with pytest.raises(InvalidRequest, match="any_present") as refused:
        load_server_config({"label_rule": "mean"}, {})
    assert (refused.value.code, refused.value.field) == ("invalid_setting", "label_rule")
