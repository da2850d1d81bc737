"""Agreement of readers, held against published numbers, scikit-learn and plain statements of the formulas."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from headct_molre.evaluation.agreement import MISSING, STATES, agreement, agreement_of, cohen_kappa, fleiss_kappa
from headct_molre.findings import finding_keys

# Fleiss, Psychological Bulletin 76 (1971) 378, table 1: 30 patients, six psychiatrists each; depression, personality disorder,
# schizophrenia, neurosis, other.
FLEISS_1971 = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
# Fleiss, Cohen and Everitt, Psychological Bulletin 72 (1969) 323, table 1: 200 patients, two psychiatrists.
FLEISS_COHEN_EVERITT_1969 = ((106, 10, 4), (22, 28, 10), (2, 12, 6))

codes = st.integers(0, 2)


def counts_of(text):
    return np.array([[int(digit) for digit in row] for row in text.split()])


def pair_of(table):
    return np.array([(row, column) for row, line in enumerate(table) for column, count in enumerate(line) for _ in range(count)]).T


def test_fleiss_worked_example():
    counts = counts_of(FLEISS_1971)
    assert counts.shape == (30, 5)
    assert counts.sum(0).tolist() == [26, 26, 30, 55, 43]
    raw, kappa = fleiss_kappa(counts)
    assert raw.value == pytest.approx(0.556, abs=5e-4)
    assert kappa.value == pytest.approx(0.430, abs=5e-4)
    assert kappa.low < 0.430 < kappa.high


def test_the_variance_is_that_of_fleiss_cohen_and_everitt():
    """Their equation (13), written out cell by cell, with n - 1 in place of n."""
    first, second = pair_of(FLEISS_COHEN_EVERITT_1969)
    p = np.array(FLEISS_COHEN_EVERITT_1969) / 200
    rows, columns = p.sum(1), p.sum(0)
    observed, chance = np.trace(p), rows @ columns
    kappa = (observed - chance) / (1 - chance)
    diagonal = sum(p[i, i] * ((1 - chance) - (columns[i] + rows[i]) * (1 - observed)) ** 2 for i in range(3))
    outside = (1 - observed) ** 2 * sum(p[i, j] * (columns[i] + rows[j]) ** 2 for i in range(3) for j in range(3) if i != j)
    variance = (diagonal + outside - (observed * chance - 2 * chance + observed) ** 2) / (199 * (1 - chance) ** 4)
    ours = cohen_kappa(first, second)
    assert ours.value == pytest.approx(kappa)
    assert ours.value == pytest.approx(0.429, abs=5e-4)
    assert variance * 199 / 200 == pytest.approx(0.002885, abs=5e-6)
    assert (ours.high - ours.low) / 2 == pytest.approx(1.959964 * variance**0.5, rel=1e-6)


@given(pairs=st.lists(st.tuples(codes, codes), min_size=10, max_size=60))
def test_cohens_kappa_is_that_of_scikit_learn(pairs):
    first, second = np.array(pairs).T
    ours = cohen_kappa(first, second)
    if len({*first, *second}) < 2:
        assert ours.value is None
        assert ours.reason
        return
    assert ours.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    assert ours.low is None or -1 <= ours.low <= ours.value <= ours.high <= 1


@given(rows=st.lists(st.lists(codes, min_size=2, max_size=5), min_size=10, max_size=40))
def test_fleiss_kappa_is_its_formula_rating_by_rating(rows):
    counts = np.array([[row.count(category) for category in range(3)] for row in rows])
    agreeing = [np.mean([a == b for a, b in combinations(row, 2)]) for row in rows]
    shares = [np.mean([row.count(category) / len(row) for row in rows]) for category in range(3)]
    chance = sum(share**2 for share in shares)
    raw, kappa = fleiss_kappa(counts)
    assert raw.value == pytest.approx(np.mean(agreeing))
    if chance == pytest.approx(1):
        assert kappa.value is None
    else:
        assert kappa.value == pytest.approx((np.mean(agreeing) - chance) / (1 - chance))


@given(rows=st.lists(st.lists(codes, min_size=3, max_size=3), min_size=12, max_size=30), order=st.permutations([0, 1, 2]))
def test_neither_the_order_of_readers_nor_the_names_of_the_calls_matter(rows, order):
    calls = np.array(rows, np.int8)
    expected = agreement_of(calls, ["a", "b", "c"])
    for other in (calls[:, order], np.array(order, np.int8)[calls], calls[::-1]):
        found = agreement_of(other, ["a", "b", "c"])
        for name in ("raw", "fleiss", "cohen"):
            assert getattr(found, name).value == pytest.approx(getattr(expected, name).value)


def test_intervals_hold_what_they_promise():
    """Of 400 samples of three readers with a known common truth, the interval holds the kappa of a very large sample 95 times in 100."""
    rng = np.random.default_rng(5)

    def sample(studies):
        truth = rng.choice(3, studies, p=(0.2, 0.7, 0.1))
        calls = np.where(rng.random((studies, 3)) < 0.8, truth[:, None], rng.integers(0, 3, (studies, 3))).astype(np.int8)
        calls[rng.random(calls.shape) < 0.2] = MISSING
        return agreement_of(calls, ["a", "b", "c"])

    truth = sample(400_000)
    held = np.zeros(3)
    for _ in range(400):
        found = sample(150)
        for place, name in enumerate(("raw", "fleiss", "cohen")):
            estimate = getattr(found, name)
            held[place] += estimate.low <= getattr(truth, name).value <= estimate.high
    assert (held / 400 > 0.92).all()
    assert (held / 400 < 0.98).all()


def test_the_mean_over_pairs_is_weighted_by_common_studies():
    rng = np.random.default_rng(1)
    calls = rng.integers(0, 3, (60, 3)).astype(np.int8)
    calls[:40, 2] = MISSING
    found = agreement_of(calls, ["a", "b", "c"])
    assert [(pair.readers, pair.studies) for pair in found.pairs] == [(("a", "b"), 60), (("a", "c"), 20), (("b", "c"), 20)]
    expected = sum(pair.studies * cohen_kappa_score(*_common(calls, pair.readers)) for pair in found.pairs) / 100
    assert found.cohen.value == pytest.approx(expected)


def _common(calls, readers):
    columns = [calls[:, "abc".index(reader)] for reader in readers]
    both = (columns[0] != MISSING) & (columns[1] != MISSING)
    return columns[0][both], columns[1][both]


def test_of_two_readers_the_mean_is_the_pair():
    calls = np.random.default_rng(2).integers(0, 3, (50, 2)).astype(np.int8)
    found = agreement_of(calls, ["a", "b"])
    pair = found.pairs[0].kappa
    assert (found.cohen.value, found.cohen.low, found.cohen.high) == pytest.approx((pair.value, pair.low, pair.high))


@pytest.mark.parametrize(
    ("calls", "raw", "kappa"),
    [
        (np.zeros((20, 2)), 1.0, None),  # nothing varies
        (np.zeros((5, 2)), None, None),  # too few
        (np.full((20, 2), MISSING), None, None),
        (np.tile([[0, MISSING], [MISSING, 1]], (20, 1)), None, None),  # no study has two
        (np.tile([[0, 0], [1, 1]], (10, 1)), 1.0, 1.0),
        (np.tile([[0, 1], [1, 0]], (10, 1)), 0.0, -1.0),
    ],
)
def test_what_is_not_estimable_is_null_with_a_reason(calls, raw, kappa):
    found = agreement_of(calls.astype(np.int8), ["a", "b"])
    assert found.raw.value == raw
    for estimate in (found.fleiss, found.cohen):
        assert estimate.value == (None if kappa is None else pytest.approx(kappa))
        assert estimate.reason  # neither has an interval
        assert estimate.low is None


def test_not_assessed_is_no_call_and_uncertain_is_left_out_of_the_second_table():
    readings = []
    for number in range(40):
        state = STATES[number % 2]
        readings += [(f"s{number}", "anna", {"hydrocephalus": state}), (f"s{number}", "ben", {"hydrocephalus": state})]
    readings += [("t1", "anna", {"hydrocephalus": "uncertain"}), ("t1", "ben", {"hydrocephalus": "present"})]
    readings += [("t2", "anna", {"hydrocephalus": "not_assessed"}), ("t2", "ben", {"hydrocephalus": "present"})]
    readings += [("t3", "anna", {"midline_shift": "absent"}), ("t3", "ben", {"hydrocephalus": "present"})]
    (found,) = agreement(readings, ["hydrocephalus"])
    assert (found.finding, found.three_states.studies, found.present_or_absent.studies) == ("hydrocephalus", 41, 40)
    assert found.three_states.raw.value == pytest.approx(40 / 41)
    assert found.present_or_absent.fleiss.value == 1


def test_all_findings_in_taxonomy_order_and_none_without_readings():
    found = agreement([])
    assert [each.finding for each in found] == list(finding_keys())
    assert found[0].three_states.studies == 0
    assert found[0].three_states.pairs == []
    assert "NaN" not in found[0].model_dump_json()
