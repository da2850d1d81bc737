"""Typical studies first, for a cold start at which no probability means anything yet."""

from __future__ import annotations

import numpy as np

from .pool import Pool
from .ranking import Ranking

# Typical studies are plentiful, so a draw of this many holds them; distances between all would take minutes.
SAMPLE = 1000
NEIGHBOURS = 20


def typical(pool: Pool, count: int, rng: np.random.Generator) -> Ranking:
    """Studies in the densest places of feature space, none beside another while there are other places.

    Density as in TypiClust (arXiv 2202.02794), 1 / mean distance to the nearest `NEIGHBOURS`, among a random draw of studies. In place of
    its clusters, each chosen study speaks for its equal share of those around it. Raises InvalidRequest without features.
    """
    features = pool.features_for("typical")
    drawn = np.sort(rng.choice(len(pool), min(len(pool), max(SAMPLE, 4 * count)), replace=False))
    return Ranking(drawn[typical_order(features[drawn].astype(np.float32), count)])


def typical_order(points: np.ndarray, count: int) -> np.ndarray:
    """Positions of up to `count` of the points (n, d): the densest first, the n / count nearest to each set aside until the next turn."""
    distance = distances(points)
    near = min(max(NEIGHBOURS, len(points) // count), len(points) - 1)
    order = np.argpartition(distance, near, axis=1)[:, :near] if near else np.empty((len(points), 0), int)
    nearest = np.sort(np.take_along_axis(distance, order, 1), axis=1)[:, :NEIGHBOURS]
    density = -nearest.mean(1) if near else np.zeros(len(points))
    densest_first = np.argsort(-density, kind="stable")
    chosen: list[int] = []
    taken = np.zeros(len(points), bool)
    while len(chosen) < min(count, len(points)):
        waiting = taken.copy()
        for position in densest_first:
            if waiting[position] or len(chosen) == count:
                continue
            chosen.append(int(position))
            taken[position] = True
            waiting[position] = True
            waiting[order[position]] = True
    return np.array(chosen, int)


def distances(points: np.ndarray) -> np.ndarray:
    """Distances (n, n) between points (n, d), infinite from a point to itself."""
    points = points - points.mean(0)  # less of a distance is lost to rounding
    square = (points**2).sum(1)
    squared = square[:, None] + square - 2 * (points @ points.T)
    np.fill_diagonal(squared, np.inf)
    return np.sqrt(np.maximum(squared, 0))
