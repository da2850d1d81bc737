"""Tuning MoLRE, pooling and head on stored features, held near the released version by an anchor and by replay."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...errors import HeadCTError
from ...models.classifier import HeadCTClassifier
from ..examples import Examples
from ..run_state import RunState
from .config import FineTuneConfig
from .head import FeatureClassifier
from .objective import Objective


@dataclass(frozen=True)
class Step:
    """How far a fit is: `fits` of how many fits, `epoch` of how many epochs, the mean loss of that epoch, the share that is done."""

    fit: int
    fits: int
    epoch: int
    epochs: int
    loss: float
    share: float


# Called after every epoch; what it raises ends the fit.
Watch = Callable[[Step], None]


@dataclass(frozen=True)
class Fitted:
    """A tuned state by the names that a version stores, the prior strength that it was anchored with, and the loss of each epoch."""

    state: dict[str, torch.Tensor]
    strength: float
    losses: list[float]

    def logits(self, classifier: HeadCTClassifier, examples: Examples) -> np.ndarray:
        """Logits (N, F) of examples by the tuned state; `classifier` is the one that was tuned, and stays as it is."""
        network = FeatureClassifier(classifier)
        network.load_tuned(self.state)
        return network.logits(examples)


def fit(
    classifier: HeadCTClassifier,
    corrections: Examples,
    replay: Examples | None,
    config: FineTuneConfig,
    *,
    strength: float,
    epochs: int | None = None,
    watch: Watch | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Minimise, from the released version's state w0 on, mean loss of corrections + replay_weight x mean loss of replay, both over known
    labels, + (strength / n) |w - w0|^2 with n corrections.

    The released `classifier` stays as it is. The same input gives the same state, bit by bit, on one machine with one number of threads,
    also where a `checkpoint` of an earlier call is taken up. Raises HeadCTError `diverged` where the loss is not finite, and what
    `watch` raises.
    """
    epochs = epochs or config.epochs
    network = FeatureClassifier(classifier)
    parameters = network.tuned()
    anchor = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    objective = Objective(network, corrections, replay, config)
    pull = strength / max(len(corrections), 1)
    state = RunState(parameters, _optimizer(network, config))
    if checkpoint is not None and checkpoint.is_file():
        state.load(checkpoint)
    losses = [float(row["loss"] or 0) for row in state.progress.history]
    while state.progress.epoch < epochs:
        total, steps = 0.0, 0
        for rows in objective.batches(state.progress.epoch):
            _set_rates(state.optimizer, (state.progress.epoch + steps / len(objective)) / epochs)
            loss = objective(network, rows)
            loss = loss + pull * sum((parameter - anchor[name]).square().sum() for name, parameter in parameters.items())
            state.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters.values(), config.gradient_clip)
            state.optimizer.step()
            total, steps = total + float(loss.detach()), steps + 1
        if not math.isfinite(total):
            raise HeadCTError("diverged", "The loss is not finite. Lower head_rate and adapter_rate.", field="head_rate", status=500)
        state.progress.epoch += 1
        losses.append(total / steps)
        state.progress.history.append({"epoch": state.progress.epoch, "loss": losses[-1]})
        if checkpoint is not None:
            state.save(checkpoint)
        if watch is not None:
            watch(Step(1, 1, state.progress.epoch, epochs, losses[-1], state.progress.epoch / epochs))
    return Fitted({name: parameter.detach().clone() for name, parameter in parameters.items()}, strength, losses)


def _optimizer(network: FeatureClassifier, config: FineTuneConfig) -> torch.optim.Optimizer:
    """Adam without weight decay: the anchor takes its place."""
    head = network.head_names()
    groups = [
        {"params": [parameter for name, parameter in network.tuned().items() if (name in head) is of_head], "peak": rate}
        for of_head, rate in ((True, config.head_rate), (False, config.adapter_rate))
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=config.head_rate)


def _set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Half a cosine from the peak down to zero, with a short warm-up: a function of how far the fit is."""
    factor = min(1.0, (share + 0.005) / 0.05) * 0.5 * (1 + math.cos(math.pi * share))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
