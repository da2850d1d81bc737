"""Which slices a heat map shows: the fewest that carry most of the positive evidence."""

import numpy as np

from headct_molre.explain.key_slices import EVIDENCE_SHARE, MOST_MM, key_slices


def test_the_fewest_that_hold_80_percent_of_what_speaks_for_the_finding():
    evidence = np.array([-3.0, 0.5, 4.0, 3.0, 0.5, -1.0, 1.0])
    assert list(key_slices(evidence, 4.0)) == [2, 3, 6]
    assert (4 + 3 + 1) / 9 >= EVIDENCE_SHARE > (4 + 3) / 9


def test_never_more_than_32_mm():
    assert len(key_slices(np.ones(40), 4.0)) == MOST_MM / 4.0 == 8
    assert len(key_slices(np.ones(32), 5.0)) == 6


def test_none_where_nothing_speaks_for_it():
    assert len(key_slices(np.array([-1.0, -0.2, 0.0]), 4.0)) == 0
    assert len(key_slices(np.array([-1.0, 0.01, 0.0]), 4.0)) == 0
