"""Studies that probably show rare findings, and are unlike each other."""

from __future__ import annotations

import numpy as np

from .pool import Pool
from .ranking import Ranking, highest
from .uncertainty import weighted_sum

# How many times the wanted studies compete for being unlike each other.
CANDIDATES = 10


def rare_positives_scores(pool: Pool) -> np.ndarray:
    """sum_f p_f / (positives_f + 1) of each study (N,): by how much its label is expected to multiply what was seen of its findings."""
    return weighted_sum(lambda probability: probability, pool.probabilities, pool.rarity**2)


def rare_positives(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """k-means++ among the studies with the most expected positives of rare findings. Raises InvalidRequest without features."""
    features = pool.features_for("rare_positives")
    scores = rare_positives_scores(pool)
    candidates = highest(scores, CANDIDATES * count)
    rows = candidates[plus_plus(features[candidates].astype(np.float32), scores[candidates], count, rng)]
    return Ranking(rows, pool.probabilities[rows] * pool.rarity**2)


def plus_plus(points: np.ndarray, weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of up to `count` points (n, d) by weighted k-means++ (Arthur and Vassilvitskii, SODA 2007), no point twice.

    The first has the highest weight (n,); each other is drawn with a chance proportional to its weight and to its squared distance from
    the nearest that was drawn. Where all that is left has no chance, the highest weights follow.
    """
    if not len(points) or count <= 0:
        return np.empty(0, int)
    chosen = [int(np.argmax(weights))]
    distance = _squared_distance(points, points[chosen[0]])
    while len(chosen) < min(count, len(points)):
        chance = weights * distance
        chance[chosen] = 0
        total = np.cumsum(chance, dtype=np.float64)
        if total[-1] > 0:
            following = int(np.searchsorted(total, rng.random() * total[-1], "right"))
        else:
            left = weights.astype(np.float64)
            left[chosen] = -1
            following = int(np.argmax(left))
        chosen.append(following)
        distance = np.minimum(distance, _squared_distance(points, points[following]))
    return np.array(chosen)


def _squared_distance(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.asarray(((points - centre) ** 2).sum(1))
