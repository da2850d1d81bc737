"""The taxonomy is what every weight file and every label refers to: its order, keys and codes must never drift."""

from collections import Counter

import pytest

from headct_molre.errors import NotFound
from headct_molre.findings import ACUITIES, CATEGORIES, finding, finding_keys, findings, positions

VERHOEFF_D = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
VERHOEFF_P = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
while len(VERHOEFF_P) < 8:
    VERHOEFF_P.append([VERHOEFF_P[-1][VERHOEFF_P[1][i]] for i in range(10)])


def verhoeff_valid(code: str) -> bool:
    check = 0
    for i, digit in enumerate(reversed(code)):
        check = VERHOEFF_D[check][VERHOEFF_P[i % 8][int(digit)]]
    return check == 0


def test_75_findings_in_six_categories():
    counts = Counter(f.category for f in findings())
    assert [counts[c] for c in CATEGORIES] == [12, 8, 6, 9, 11, 29]
    assert len(findings()) == 75


def test_order_and_keys_are_stable():
    assert [f.index for f in findings()] == list(range(75))
    assert len(set(finding_keys())) == 75
    assert finding_keys()[0] == "intraparenchymal_hemorrhage"
    assert finding_keys()[37] == "midline_shift"
    assert finding_keys()[74] == "calvarial_thickening"


@pytest.mark.parametrize("item", findings(), ids=lambda f: f.key)
def test_each_finding_is_complete(item):
    assert finding(item.key) is item
    assert item.acuity in ACUITIES
    assert item.definition
    assert item.hu_windows
    assert set(item.hu_windows) <= {"brain", "subdural", "stroke", "bone"}
    assert (item.snomed_ct is None) == (item.snomed_label is None)


def test_snomed_codes_have_valid_check_digits():
    codes = [f.snomed_ct for f in findings() if f.snomed_ct]
    assert len(codes) == 28
    assert all(verhoeff_valid(code) for code in codes)


@pytest.mark.parametrize("invented", ["83329005", "262052002", "7199003"])
def test_the_check_finds_invented_codes(invented):
    assert not verhoeff_valid(invented)


def test_unknown_key_is_named():
    with pytest.raises(NotFound, match="no finding 'stroke'"):
        finding("stroke")


def test_positions_follow_keys_and_not_their_order():
    shuffled = list(reversed(finding_keys()))
    assert [shuffled[i] for i in positions(finding_keys(), within=shuffled)] == list(finding_keys())
    with pytest.raises(NotFound, match="sinusitis"):
        positions(["sinusitis"], within=["acute_infarct"])
