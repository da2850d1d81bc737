"""Repeat factor sampling by its definition, and batches that hold every study once in each repeat."""

import numpy as np
import pytest

from headct_molre.training.sampling import plan_epoch, repeat_factors

RNG = np.random.default_rng(0)


def long_tail(studies: int = 4000) -> np.ndarray:
    labels = (RNG.random((studies, 4)) < (0.3, 0.05, 0.01, 0.002)).astype(float)
    labels[RNG.random(labels.shape) < 0.1] = np.nan
    return labels


def test_a_study_is_repeated_for_its_rarest_finding():
    labels = np.zeros((100, 3))
    labels[:25, 0] = 1  # 25 %, above the threshold
    labels[:4, 1] = 1  # 4 %
    labels[0, 2] = 1  # 1 %
    factors = repeat_factors(labels, threshold=0.16)
    np.testing.assert_allclose(factors[[0, 1, 10, 50]], [4, 2, 1, 1])


def test_prevalence_counts_only_studies_that_were_assessed():
    labels = np.full((100, 1), np.nan)
    labels[:10] = 0
    labels[0] = 1  # 10 % of those assessed
    assert repeat_factors(labels, 0.4)[0] == pytest.approx(2)


def test_a_threshold_of_zero_repeats_nothing_and_no_label_harms():
    assert (repeat_factors(long_tail(), 0.0) == 1).all()
    assert (repeat_factors(np.full((5, 2), np.nan), 0.5) == 1).all()


def test_the_default_threshold_acts_on_a_long_tail():
    """With 25 % down to 0.08 % over 75 findings an epoch grows 1.4 times and no study comes more than 8 times (docs/training.md)."""
    prevalence = np.geomspace(0.25, 0.0008, 75)
    labels = (RNG.random((20_000, 75)) < prevalence).astype(float)
    factors = repeat_factors(labels, 0.05)
    assert 1.2 < factors.mean() < 1.8
    assert 5 < factors.max() < 12


def test_every_study_comes_as_often_as_its_factor_says():
    factors = np.array([1.0, 2.3, 1.5, 4.0] * 50)
    counts = np.zeros(len(factors))
    for epoch in range(200):
        rows = [row for batch in plan_epoch(factors, 8, 0, epoch) for _, row in batch]
        again = np.bincount(rows, minlength=len(factors))
        assert (again >= np.floor(factors)).all()
        assert (again <= np.ceil(factors)).all()
        counts += again
    np.testing.assert_allclose(counts / 200, factors, atol=0.15)


def test_an_epoch_follows_from_seed_and_number_alone():
    factors = np.full(50, 1.5)
    assert plan_epoch(factors, 8, 1, 3) == plan_epoch(factors, 8, 1, 3)
    assert plan_epoch(factors, 8, 1, 3) != plan_epoch(factors, 8, 1, 4)
    assert plan_epoch(factors, 8, 1, 3) != plan_epoch(factors, 8, 2, 3)


def test_positions_count_through_the_epoch():
    plan = plan_epoch(np.ones(21), 4, 0, 0)
    assert [position for batch in plan for position, _ in batch] == list(range(21))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_each_batch(world):
    plan = plan_epoch(np.ones(23), 6, 0, 0, least=world)
    shards = [plan.shard(rank, world) for rank in range(world)]
    for number, batch in enumerate(plan):
        parts = [shard.batches[number] for shard in shards]
        assert all(parts)
        assert sorted(pair for part in parts for pair in part) == sorted(batch)


def test_too_few_studies_for_the_processes():
    with pytest.raises(ValueError, match="too few"):
        plan_epoch(np.ones(2), 8, 0, 0, least=3)
