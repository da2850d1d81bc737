"""Many tests at once: Holm's adjustment for claims, Benjamini and Hochberg's for exploration."""

from __future__ import annotations

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p (n,): with probability at most alpha does any false one lie below alpha (Holm, Scand. J. Statist. 6 (1979) 65)."""
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return _unsorted(stepped, order)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q (n,): among findings with q below alpha, alpha is the expected share of false ones (J. R. Statist. Soc. B 57 (1995) 289)."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _unsorted(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0), order)


def _unsorted(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    result = np.empty_like(values)
    result[order] = values
    return result
