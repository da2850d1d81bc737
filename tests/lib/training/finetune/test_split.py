"""Held-out corrections: an unbiased share of patients, the same for good, that nothing learns from."""

import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.training.finetune import FineTuneConfig
from headct_molre.training.finetune.corrections import Correction
from headct_molre.training.finetune.split import check_trainable, split_corrections, usable


def correction(number=0, patient=None, random=True, **label):
    patient = f"patient {number}" if patient is None else patient
    return Correction(f"study-{number}", "0" * 64, patient, ("anna",), random, label or {"hydrocephalus": "present"})


def test_half_of_the_randomly_offered_patients_are_held_out_and_stay_so():
    first = [correction(number) for number in range(400)]
    split = split_corrections(first, 0.5)
    assert 160 < len(split.held_out) < 240
    assert len(split.trained) + len(split.held_out) == 400
    later = split_corrections([*first, *(correction(number) for number in range(400, 600))], 0.5)
    assert {one.study for one in split.held_out} <= {one.study for one in later.held_out}
    assert not {one.study for one in split.trained} & {one.study for one in later.held_out}


def test_what_a_strategy_picked_is_never_judged_by():
    split = split_corrections([correction(number, random=number % 2 == 0) for number in range(100)], 0.5)
    assert all(one.random for one in split.held_out)
    assert sum(not one.random for one in split.trained) == 50


def test_no_patient_is_on_both_sides():
    studies = [correction(number, patient=f"patient {number % 30}", random=number < 60) for number in range(120)]
    split = split_corrections(studies, 0.5)
    held = {one.patient for one in split.held_out}
    assert held
    assert not held & {one.patient for one in split.trained}
    assert {one.patient for one in split.set_aside} <= held
    assert len(split.trained) + len(split.held_out) + len(split.set_aside) == 120


def test_too_few_are_refused_with_the_number_that_is_needed():
    with pytest.raises(InvalidRequest, match="3, at least 20") as refused:
        check_trainable([correction(number) for number in range(3)], FineTuneConfig())
    assert (refused.value.code, refused.value.status) == ("too_few_corrections", 409)


@pytest.mark.parametrize("state", ["present", "absent"])
def test_one_class_only_is_refused_with_the_remedy(state):
    with pytest.raises(InvalidRequest, match="Confirm as absent") as refused:
        check_trainable([correction(number, hydrocephalus=state) for number in range(30)], FineTuneConfig())
    assert refused.value.code == "one_class_only"


def test_what_says_nothing_does_not_count():
    said = [correction(0), correction(1, hydrocephalus="uncertain"), correction(2, pneumocephalus="absent")]
    assert [one.study for one in usable(said, FineTuneConfig())] == ["study-0", "study-2"]
    assert len(usable(said, FineTuneConfig(uncertain="soft"))) == 3
