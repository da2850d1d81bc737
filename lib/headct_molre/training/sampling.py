"""Which studies an epoch holds and in which order: repeat factor sampling, as a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


def repeat_factors(labels: np.ndarray, threshold: float) -> np.ndarray:
    """How often each study (N,) comes in an epoch on average: the largest max(1, sqrt(t / f)) of its present findings.

    `labels` (N, F) of 1, 0 and NaN; f is a finding's prevalence among the studies where it was assessed. From Gupta et al. 2019 (LVIS,
    arXiv 1908.03195, section 4); with a threshold of 0 every study comes once.
    """
    assessed = (~np.isnan(labels)).sum(0)
    prevalence = (labels == 1).sum(0) / np.maximum(assessed, 1)
    factors = np.sqrt(threshold / np.where(prevalence > 0, prevalence, np.inf)).clip(min=1.0)
    return np.asarray(np.where(labels == 1, factors, 1.0).max(1, initial=1.0))


@dataclass(frozen=True)
class EpochPlan:
    """The batches of an epoch: in each, pairs (position in the epoch, row of the study)."""

    batches: tuple[tuple[tuple[int, int], ...], ...]

    def shard(self, rank: int, world: int) -> EpochPlan:
        """The part of each batch that one of `world` processes works on; no study is worked on twice and none is left out."""
        return EpochPlan(tuple(batch[rank::world] for batch in self.batches))

    def __iter__(self) -> Iterator[tuple[tuple[int, int], ...]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def plan_epoch(factors: np.ndarray, batch_studies: int, seed: int, epoch: int, least: int = 1) -> EpochPlan:
    """Batches of about `batch_studies` studies, none with fewer than `least`, from the repeat factors (N,).

    A factor of 2.3 gives two repeats, and a third with probability 0.3 in each epoch. Raises ValueError for fewer studies than `least`.
    """
    rng = np.random.default_rng([seed, epoch, 1])
    whole = np.floor(factors).astype(int)
    repeats = whole + (rng.random(len(factors)) < factors - whole)
    order = rng.permutation(np.repeat(np.arange(len(factors)), repeats))
    if len(order) < least:
        raise ValueError(f"{len(order)} studies are too few for batches of at least {least}")
    count = max(1, min(round(len(order) / batch_studies), len(order) // least))
    rows = np.array_split(order, count)
    starts = np.cumsum([0, *(len(batch) for batch in rows)])
    return EpochPlan(
        tuple(
            tuple((int(start) + place, int(row)) for place, row in enumerate(batch)) for start, batch in zip(starts[:-1], rows, strict=True)
        )
    )
