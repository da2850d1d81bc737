"""Uncertainty of the model: entropy weighted by rarity, margin, and disagreement of heads that were thinned out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import InvalidRequest
from .pool import Pool
from .ranking import Ranking, highest

# Rows whose intermediate arrays stay in a processor's first caches: five times as fast as all at once.
BLOCK = 256
TINY = np.float32(np.finfo(np.float32).tiny)
# BALD is computed of as many studies: those of the highest entropy, which bounds it from above.
BALD_CANDIDATES = 1024
BALD_PASSES = 10
BALD_DROPOUT = 0.3


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy, in nats, of a yes or no with this probability, of any shape; 0 at 0 and 1."""
    other = 1 - probability
    return np.asarray(-(probability * np.log(np.maximum(probability, TINY)) + other * np.log(np.maximum(other, TINY))))


def closeness(probability: np.ndarray) -> np.ndarray:
    """1 - |p - (1 - p)|: 1 where yes and no are equally likely, 0 where either is certain."""
    return np.asarray(1 - np.abs(2 * probability - 1))


def weighted_sum(part: Callable[[np.ndarray], np.ndarray], probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum (N,) over findings of weight (F,) times `part` of the probabilities (N, F), by blocks of rows."""
    result = np.empty(len(probabilities), np.float32)
    for start in range(0, len(result), BLOCK):
        block = slice(start, start + BLOCK)
        # Not a matrix product: it would round the same row differently at another place.
        result[block] = np.einsum("nf,f->n", part(probabilities[block]), weights)
    return result


def rarity_entropy_scores(pool: Pool) -> np.ndarray:
    """sum_f H(p_f) / sqrt(positives_f + 1) of each study (N,)."""
    return weighted_sum(entropy, pool.probabilities, pool.rarity)


def rarity_entropy(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """Studies of the highest entropy, where a finding counts the more the fewer positives were seen."""
    rows = highest(rarity_entropy_scores(pool), count)
    return Ranking(rows, entropy(pool.probabilities[rows]) * pool.rarity)


def margin_scores(pool: Pool) -> np.ndarray:
    """sum_f 1 - |2 p_f - 1| of each study (N,); the least margin alone would be no better than chance."""
    return weighted_sum(closeness, pool.probabilities, pool.estimable.astype(np.float32))


def margin(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """Studies of which most findings are close calls."""
    rows = highest(margin_scores(pool), count)
    return Ranking(rows, closeness(pool.probabilities[rows]) * pool.estimable)


def bald(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """Studies on which heads that each lack some features contradict each other, each sure of itself (BALD, arXiv 1112.5745).

    The information that a label would give about the head: sum_f H(mean p) - mean H(p) over `BALD_PASSES` draws of features to drop,
    the same for all studies. Raises InvalidRequest where the pool has no features or no head.
    """
    features = pool.features_for("bald")
    if pool.logits_of is None:
        raise InvalidRequest("head_missing", "The strategy bald needs the head that takes features to logits.", field="strategy")
    weights = pool.estimable.astype(np.float32)
    candidates = highest(weighted_sum(entropy, pool.probabilities, weights), max(BALD_CANDIDATES, 4 * count))
    parts = information(features[candidates].astype(np.float32), pool.logits_of, rng) * weights
    best = highest(parts.sum(1), count)
    return Ranking(candidates[best], parts[best])


def information(features: np.ndarray, logits_of: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Information (n, F) of each label about the head, from features (n, d) of which a share is dropped and the rest scaled up."""
    passes = []
    for _ in range(BALD_PASSES):
        kept = np.where(rng.random(features.shape[1]) >= BALD_DROPOUT, np.float32(1 / (1 - BALD_DROPOUT)), np.float32(0))
        # Clipped where float32 rounds to certainty, lest the exponential overflow.
        passes.append(1 / (1 + np.exp(-np.clip(logits_of(features * kept), -30, 30))))
    return np.maximum(entropy(np.mean(passes, axis=0)) - np.mean([entropy(one) for one in passes], axis=0), 0)
