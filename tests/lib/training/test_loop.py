"""A run ends the same way whether it is unbroken, killed at any moment, or shared by two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import toy_training
from headct_molre.errors import HeadCTError
from headct_molre.training.config import TrainingConfig
from headct_molre.training.distributed import Group
from headct_molre.training.loop import Logits, Pace, Task, predict_logits, train
from headct_molre.training.losses import MaskedFocalLoss
from headct_molre.training.sampling import repeat_factors

PROGRAM = Path(toy_training.__file__)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return toy_training.run(tmp_path_factory.mktemp("unbroken"))


def start(out: Path, *before: str, slow: float = 0.0) -> subprocess.Popen:
    """The toy in a process group of its own."""
    path = [str(PROGRAM.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *before, str(PROGRAM), str(out), "--slow", str(slow)]
    return subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL, start_new_session=True)


def test_learns(unbroken):
    assert unbroken["history"][-1]["loss"] < 0.7 * unbroken["history"][0]["loss"]
    assert max(row["validation_auc"] for row in unbroken["history"]) > 0.62


def test_killed_again_and_again_it_ends_with_the_same_bits(unbroken, tmp_path):
    rng = np.random.default_rng(0)
    checkpoint = tmp_path / "checkpoint.safetensors"
    for _ in range(3):
        process = start(tmp_path, slow=0.03)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = toy_training.run(tmp_path)
    assert again["weights"] == unbroken["weights"]
    assert [row["validation_auc"] for row in again["history"]] == [row["validation_auc"] for row in unbroken["history"]]


def test_workers_change_nothing(unbroken, tmp_path):
    """In a process of its own: workers are forked, and what other tests loaded into this one does not survive that."""
    assert start(tmp_path).wait(timeout=300) == 0
    assert json.loads((tmp_path / "result.json").read_text())["weights"] == unbroken["weights"]


def test_two_processes_give_the_metrics_of_one(unbroken, tmp_path):
    """At the same global batch; sums run in another order, so that losses agree to 1e-5 of themselves and AUCs to 1e-6."""
    process = start(tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    assert process.wait(timeout=300) == 0
    shared = json.loads((tmp_path / "result.json").read_text())
    for one, two in zip(unbroken["history"], shared["history"], strict=True):
        assert two["validation_auc"] == pytest.approx(one["validation_auc"], abs=1e-6)
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["steps"] == one["steps"]


def test_the_parts_of_a_batch_add_up_to_it(unbroken, tmp_path):
    whole = toy_training.run(tmp_path, micro_batch=8)
    for parts, one in zip(unbroken["history"], whole["history"], strict=True):
        assert one["loss"] == pytest.approx(parts["loss"], rel=1e-5)


def test_without_molre_only_lora_pooling_and_head_learn():
    config = TrainingConfig(model="demo", molre=False)
    model = toy_training.classifier(config)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert model.molre is None
    assert learning == {
        "backbone.network.first.lora_down",
        "backbone.network.first.lora_up",
        "backbone.network.second.lora_down",
        "backbone.network.second.lora_up",
        "pooling.query",
        "head.weight",
        "head.bias",
    }


def test_the_frozen_backbone_stays_as_it_is(tmp_path):
    config = _quick()
    model = toy_training.classifier(config)
    before = model.backbone.network.first.base.weight.clone()
    adapter = model.backbone.network.first.lora_up.clone()
    _train(model, config, tmp_path)
    assert torch.equal(model.backbone.network.first.base.weight, before)
    assert not torch.equal(model.backbone.network.first.lora_up, adapter)


def test_stops_after_patience_and_keeps_the_best_epoch(tmp_path):
    config = _quick(min_epochs=2, max_epochs=20, patience=3)
    model = toy_training.classifier(config)
    metrics = iter([0.5, 0.7, 0.6, 0.6, 0.6, 0.9])
    seen = []

    def judge(logits: np.ndarray) -> float:
        seen.append(logits)
        return next(metrics)

    state = _train(model, config, tmp_path, judge)
    assert state.progress.epoch == 5
    assert state.progress.best_epoch == 2
    data = toy_training.Images(31, 2)
    again = predict_logits(Logits(model, False, False), data, 31, 0, Group(0, 1, torch.device("cpu")))
    np.testing.assert_array_equal(again, seen[1])


def test_a_loss_that_is_not_finite_ends_the_run_with_a_sentence(tmp_path):
    config = _quick()
    model = toy_training.classifier(config)
    with torch.no_grad():
        model.head.weight.fill_(float("inf"))
    with pytest.raises(HeadCTError, match="Lower head_rate"):
        _train(model, config, tmp_path)


def test_the_rate_warms_up_and_falls_to_nothing(tmp_path):
    config = _quick(min_epochs=6, max_epochs=6, warmup_epochs=2)
    state = _train(toy_training.classifier(config), config, tmp_path)
    rates = [row["head_rate"] for row in state.progress.history]
    assert rates[0] < rates[1] <= config.head_rate
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.1 * config.head_rate


def _quick(**settings: object) -> TrainingConfig:
    return TrainingConfig(model="demo", **{"min_epochs": 1, "max_epochs": 1, "batch_studies": 8, "selection_minimum": 2, **settings})


def _train(model, config, folder, judge=lambda logits: 0.5):
    torch.manual_seed(0)
    training = toy_training.Images(24, 1)
    labels = torch.from_numpy(training.labels)
    task = Task(training, labels, repeat_factors(training.labels, 0.0), toy_training.Images(31, 2), 31, judge)
    state = toy_training.trainer(model, config)
    group = Group(0, 1, torch.device("cpu"))
    train(
        Logits(model, False, False),
        state,
        MaskedFocalLoss(),
        task,
        config,
        Pace(0, folder / "state.safetensors", 1e9),
        group,
        lambda rows: None,
    )
    return state
