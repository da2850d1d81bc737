"""The simulation of `benchmarks/active_learning.py`: what a reader says, that rounds add up, and what the curves are reduced to."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from active_learning_loop import Plan, Released, finished, read_by, released_version, simulate, state_after
from active_learning_results import labels_to_reach, summary
from active_learning_site import SHIFTED, SHIFTED_PREVALENCE

from headct_molre.data.phantom.lesions import PREVALENCE, sample_findings
from headct_molre.training.finetune import Examples, FineTuneConfig

PLAN = Plan(rounds=2, batch=8, config=FineTuneConfig(epochs=1))


@pytest.fixture(scope="module")
def released() -> Released:
    version = released_version("demo")
    return Released(version.classifier, version.card, version.replay.take(range(20)))


@pytest.fixture(scope="module")
def pool() -> Examples:
    return released_version("demo").replay.take(range(20, 60))


def test_a_reader_errs_as_often_as_told_and_says_nothing_of_what_is_not_known() -> None:
    truth = np.tile([1.0, 0.0, np.nan], (20_000, 1))
    calls = read_by(truth, 0.02, np.random.default_rng(0))
    assert np.isnan(calls[:, 2]).all()
    assert (calls != truth)[:, :2].mean() == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize("strategy", ["random", "rarity_entropy", "bald", "disagreement"])
def test_each_round_reads_new_studies_and_tunes_on_all_of_them(released: Released, pool: Examples, strategy: str, tmp_path: Path) -> None:
    simulate(released, pool, strategy, 0, PLAN, tmp_path)
    run = finished(tmp_path)
    assert run is not None
    assert len(run["read"]) == len(set(run["read"])) == 16
    assert (run["random"] == 16) == (strategy == "random")
    states = [released.classifier.trainable_state(), *(state_after(tmp_path, count) for count in (8, 16))]
    assert all(not torch.equal(one["head.weight"], other["head.weight"]) for one, other in pairwise(states))


def test_the_same_seed_reads_and_learns_the_same(released: Released, pool: Examples, tmp_path: Path) -> None:
    for name in ("first", "second"):
        simulate(released, pool, "rare_positives", 3, PLAN, tmp_path / name)
    assert finished(tmp_path / "first") == finished(tmp_path / "second")
    before, after = (state_after(tmp_path / name, 16) for name in ("first", "second"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_released_version_stays_as_it_is(released: Released, pool: Examples, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in released.classifier.state_dict().items()}
    simulate(released, pool, "margin", 0, PLAN, tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in released.classifier.state_dict().items())


def test_labels_to_reach_a_goal_are_read_off_between_the_rounds() -> None:
    assert labels_to_reach([0, 25, 50], [0.70, 0.74, 0.80], 0.77) == pytest.approx(37.5)
    assert labels_to_reach([0, 25, 50], [0.70, 0.74, 0.73], 0.75) is None


def test_strategies_are_compared_with_the_end_of_the_random_one() -> None:
    flat = {"tail": [0.6, 0.6, 0.6], "source": [0.9, 0.9, 0.89]}
    curves = {
        "random": [{"target": [0.70, 0.72, 0.74], **flat}, {"target": [0.70, 0.74, 0.76], **flat}],
        "margin": [{"target": [0.70, 0.75, 0.78], **flat}, {"target": [0.70, 0.75, 0.77], **flat}],
    }
    found = summary(curves, [0, 25, 50])
    assert found["goal"] == 0.75
    margin = found["strategies"]["margin"]
    assert (margin["gain"], margin["over_random"], margin["source_change"]) == (0.075, 0.025, -0.01)
    assert margin["labels_to_reach_random"] == 25


def test_the_shifted_site_has_its_own_prevalence_and_a_seed_its_own_study() -> None:
    assert SHIFTED_PREVALENCE.keys() == PREVALENCE.keys()
    rng = np.random.default_rng(0)
    drawn = [sample_findings(rng, SHIFTED.prevalence, SHIFTED.normal_share) for _ in range(3000)]
    share = np.mean(["epidural_hematoma" in keys for keys in drawn])
    assert share == pytest.approx(SHIFTED_PREVALENCE["epidural_hematoma"] * (1 - SHIFTED.normal_share), abs=0.006)
    first, again = (SHIFTED.study(5)[0].volume.hu for _ in range(2))
    assert (first == again).all()
