"""Iterative stratification on cases that can be counted by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from headct_molre.data.cohort.stratify import polish, stratify


def counts(labels: list[list[int]]) -> csr_matrix:
    """Groups with these labels, each of size 1."""
    return csr_matrix(np.hstack([np.array(labels), np.ones((len(labels), 1), int)]))


def free(number: int) -> np.ndarray:
    return np.full(number, -1)


@pytest.mark.parametrize("seed", range(5))
def test_the_rarest_label_is_shared_out_first(seed):
    labels = counts([[1, 1]] * 2 + [[0, 1]] * 8 + [[0, 0]] * 10)
    part = stratify(labels, np.array([0.5, 0.5]), free(20), np.random.default_rng(seed))
    for group in (slice(0, 2), slice(2, 10), slice(10, 20)):
        assert (part[group] == 0).sum() == (part[group] == 1).sum()


def test_groups_that_have_a_part_keep_it_and_count():
    assigned = free(8)
    assigned[:4] = 0
    part = stratify(counts([[1]] * 8), np.array([0.5, 0.5]), assigned, np.random.default_rng(0))
    assert part.tolist() == [0] * 4 + [1] * 4


def test_large_groups_go_first_so_that_small_ones_even_out():
    labels = csr_matrix(np.array([[9, 9]] + [[1, 1]] * 9))
    part = stratify(labels, np.array([0.5, 0.5]), free(10), np.random.default_rng(0))
    assert (part[1:] != part[0]).all()


def test_polishing_brings_labels_closer_and_moves_only_what_may_move():
    rng = np.random.default_rng(1)
    labels = counts((rng.random((400, 12)) < np.geomspace(0.5, 0.02, 12)).astype(int).tolist())
    shares = np.array([0.7, 0.3, 0.0])
    first = rng.choice(2, 400, p=shares[:2])
    movable = np.arange(400) >= 100
    part = polish(labels, shares, first, movable, np.random.default_rng(3))

    def chi_square(of: np.ndarray) -> float:
        held = np.stack([np.asarray(labels[of == number].sum(0)).ravel() for number in (0, 1)])
        wanted = np.outer(shares[:2], np.asarray(labels.sum(0)).ravel())
        return float(((held - wanted) ** 2 / wanted).sum())

    assert chi_square(part) < 0.1 * chi_square(first)
    assert (part[:100] == first[:100]).all()
    assert set(part) == {0, 1}
