"""What a strategy gives: rows in the order in which they should be read, and how much each finding speaks for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Rows (n,) of the pool, the first to be read first, and the parts (n, F) of their scores by finding, 0 or more.

    There may be fewer rows than were asked for. `parts` is None where a score does not come from findings.
    """

    rows: np.ndarray
    parts: np.ndarray | None = None


def highest(scores: np.ndarray, count: int) -> np.ndarray:
    """Rows of the `count` highest scores (N,), the highest first; among equal ones the lower row first."""
    if count < len(scores):
        threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = np.flatnonzero(scores > threshold)
        rows = np.concatenate([above, np.flatnonzero(scores == threshold)[: count - len(above)]])
        rows.sort()
    else:
        rows = np.arange(len(scores))
    return rows[np.argsort(-scores[rows], kind="stable")]
