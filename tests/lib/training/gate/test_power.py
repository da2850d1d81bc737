"""The gate keeps its promises on simulated versions: how often it promotes what is no better, and finds what it says it finds."""

import numpy as np
import pytest
from scipy.stats import binom

from headct_molre.evaluation.bootstrap import bootstrap, mean_over_findings
from headct_molre.evaluation.delong import Placements
from headct_molre.training.gate import GatePolicy, judge
from headct_molre.training.gate.evidence import mean_difference, paired_placements
from simulated_cohort import separation
from simulated_versions import held_out_pair, version_card

POLICY = GatePolicy(replicates=0)
STUDIES = 200


def difference(held):
    return mean_difference(paired_placements(held, POLICY), held, POLICY, "")


def rate_promoted(runs, gain):
    """How often a candidate with this gain is promoted."""
    reports = [judge(held_out_pair(STUDIES, seed, gain), None, version_card("1"), version_card("2"), POLICY) for seed in range(runs)]
    return np.mean([report.outcome == "promote" for report in reports])


def gain_of(difference, auc=0.85):
    """The gain in standard deviations that raises this AUC by `difference`."""
    return float(separation(auc + difference) - separation(auc))


def test_the_error_and_the_interval_are_those_of_a_bootstrap_of_patients():
    held = held_out_pair(150, seed=3, gain=0.1)
    patients = np.array([f"patient-{number % 90}" for number in range(150)])
    held = type(held)(held.truth, held.champion, held.candidate, patients)
    ours = difference(held)
    columns = [column for column, one in enumerate(paired_placements(held, POLICY)) if isinstance(one, Placements)]
    drawn = bootstrap(held.truth, (held.candidate, held.champion), patients, 600, minimum=POLICY.minimum_cases).auc[:, columns]
    changes = mean_over_findings(drawn[0] - drawn[1])
    assert ours.standard_error == pytest.approx(changes.std(), rel=0.15)
    assert ours.low == pytest.approx(np.quantile(changes, 0.05), abs=0.4 * ours.standard_error)


def test_studies_of_a_patient_count_as_one():
    held = held_out_pair(120, seed=4, gain=0.1)
    single = difference(held)
    # Every study twice: as two patients the error shrinks, as one patient it does not.
    twice = [np.concatenate([array, array]) for array in (held.truth, held.champion, held.candidate)]
    other_names = np.char.add(held.patients, "-again")
    as_one = difference(type(held)(*twice, np.concatenate([held.patients, held.patients])))
    as_two = difference(type(held)(*twice, np.concatenate([held.patients, other_names])))
    shared = set(np.flatnonzero([isinstance(one, Placements) for one in paired_placements(held, POLICY)]))
    assert shared
    assert as_one.standard_error > 1.3 * as_two.standard_error
    assert as_one.standard_error == pytest.approx(single.standard_error, rel=0.25)


def test_the_smallest_detectable_difference_shrinks_with_the_studies():
    few, many = (difference(held_out_pair(studies, seed=5)) for studies in (100, 900))
    assert many.smallest_detectable < 0.6 * few.smallest_detectable
    assert many.smallest_detectable == pytest.approx(2.49 * many.standard_error, rel=0.06)


def test_a_candidate_that_is_no_better_is_seldom_shown_better():
    runs = 60
    shown = sum(difference(held_out_pair(STUDIES, seed)).low > 0 for seed in range(runs))
    assert shown <= binom.ppf(0.999, runs, POLICY.alpha)


def test_twice_the_smallest_detectable_difference_is_nearly_always_shown():
    held = held_out_pair(STUDIES, seed=0)
    gain = gain_of(2 * difference(held).smallest_detectable)
    assert sum(difference(held_out_pair(STUDIES, seed, gain)).low > 0 for seed in range(20)) >= 19


@pytest.mark.slow
def test_a_candidate_that_is_no_better_is_promoted_no_more_often_than_alpha():
    runs = 400
    assert rate_promoted(runs, gain=0.0) <= binom.ppf(0.999, runs, POLICY.alpha) / runs


@pytest.mark.slow
def test_the_smallest_detectable_difference_is_found_with_the_power_it_is_stated_for():
    smallest = np.mean([difference(held_out_pair(STUDIES, seed)).smallest_detectable for seed in range(40)])
    runs = 300
    shown = np.mean([difference(held_out_pair(STUDIES, seed, gain_of(smallest))).low > 0 for seed in range(runs)])
    assert shown == pytest.approx(POLICY.power, abs=0.08)
