"""Studies on which readers disagree, to be read once more."""

from __future__ import annotations

import numpy as np

from ..errors import InvalidRequest
from .pool import VOTES, Pool, Votes
from .ranking import Ranking, highest


def disagreement(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """Studies of the highest vote entropy, summed over findings; only such on which two readers disagree.

    Raises InvalidRequest where the pool has no votes.
    """
    if pool.votes is None:
        raise InvalidRequest("votes_missing", "The strategy disagreement needs the calls of readers.", field="strategy")
    rows, parts = vote_entropy(pool.votes, len(pool.keys))
    best = highest(parts.sum(1), count)
    best = best[parts[best].sum(1) > 0]
    return Ranking(rows[best], parts[best])


def vote_entropy(votes: Votes, findings: int) -> tuple[np.ndarray, np.ndarray]:
    """The studies (n,) that have votes, and the entropy (n, F), in nats, of the votes on each finding; 0 where all agree."""
    rows, position = np.unique(votes.rows, return_inverse=True)
    cell = (position * findings + votes.findings) * len(VOTES) + votes.states
    counts = np.bincount(cell, minlength=len(rows) * findings * len(VOTES)).reshape(len(rows), findings, len(VOTES))
    total = counts.sum(2, keepdims=True)
    share = counts / np.maximum(total, 1)
    # Adding 0 makes the 0 of agreement a positive one.
    return rows, -(share * np.log(np.where(share > 0, share, 1))).sum(2) + 0.0
