"""Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, algorithm 1) of groups with counts of labels."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

MOST_PASSES = 5
SMALLEST_GAIN = 1e-9


def stratify(counts: csr_matrix, fractions: np.ndarray, assigned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part (G,) of each group, so that each part gets its share of every label.

    `counts` (G, L) says how often a group holds a label; the last label is the group's size, which every group has. `fractions` (P,) sum
    to 1, and a part of fraction 0 gets nothing. `assigned` (G,) holds the part of groups that have one, -1 for the others. The rarest label
    goes first, its groups with most of it before the others; each goes where most of that label is still wanted, then where
    most of everything is, then by chance.
    """
    part = np.array(assigned, int)
    totals = np.asarray(counts.sum(axis=0), float).ravel()
    wanted = np.outer(fractions, totals)
    for number in range(len(fractions)):
        wanted[number] -= np.asarray(counts[part == number].sum(axis=0), float).ravel()
    wanted[fractions == 0] = -np.inf
    left = np.asarray(counts[part < 0].sum(axis=0), float).ravel()
    order = rng.permutation(counts.shape[0])
    by_label = counts.tocsc()
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, np.inf)))
        column = slice(by_label.indptr[label], by_label.indptr[label + 1])
        groups, amounts = by_label.indices[column], by_label.data[column]
        for group in groups[np.lexsort((order[groups], -amounts))]:
            if part[group] >= 0:
                continue
            row = slice(counts.indptr[group], counts.indptr[group + 1])
            labels, held = counts.indices[row], counts.data[row]
            chosen = _neediest(wanted[:, label], wanted[:, -1], rng)
            part[group] = chosen
            wanted[chosen, labels] -= held
            left[labels] -= held
    return part


def polish(counts: csr_matrix, fractions: np.ndarray, part: np.ndarray, movable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The parts (G,) after moving single groups as long as that brings the labels closer to their shares.

    Minimised is the chi-square of the counts, sum over parts p and labels l of (held - f_p n_l)^2 / (f_p n_l). The greedy choice above is
    exact for rare labels and leaves common ones to chance, since their groups are gone before it is their turn.
    """
    part = part.copy()
    totals = np.maximum(np.asarray(counts.sum(axis=0), float).ravel(), 1.0)
    held_by = [np.asarray(counts[part == number].sum(axis=0)).ravel() for number in range(len(fractions))]
    excess = np.stack(held_by) - np.outer(fractions, totals)
    usable = fractions > 0
    shares = np.where(usable, fractions, 1.0)
    for _ in range(MOST_PASSES):
        moved = 0
        for group in rng.permutation(np.flatnonzero(movable)):
            row = slice(counts.indptr[group], counts.indptr[group + 1])
            labels, held = counts.indices[row], counts.data[row]
            weight = held / totals[labels]
            own = part[group]
            slope, curve = 2 * (excess[:, labels] @ weight) / shares, held @ weight / shares
            change = (slope + curve) - (slope[own] - curve[own])
            change[~usable] = np.inf
            change[own] = 0.0
            best = int(np.argmin(change))
            if change[best] < -SMALLEST_GAIN:
                excess[own, labels] -= held
                excess[best, labels] += held
                part[group] = best
                moved += 1
        if not moved:
            break
    return part


def _neediest(label: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> int:
    best = np.flatnonzero(label == label.max())
    if len(best) > 1:
        best = best[size[best] == size[best].max()]
    return int(best[0] if len(best) == 1 else rng.choice(best))
