"""The training loop: the same steps whether one process runs them or several, unbroken or taken up again."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset
from tqdm import tqdm

from ..errors import HeadCTError
from ..models.classifier import HeadCTClassifier
from .config import TrainingConfig
from .dataset import Batch, Item, load
from .distributed import Group
from .losses import MaskedFocalLoss
from .run_state import RunState
from .sampling import plan_epoch

logger = logging.getLogger(__name__)

Data = Dataset[tuple[int, torch.Tensor, torch.Tensor]]


class Logits(nn.Module):
    """The classifier as the loop runs it: inputs (B, S, ...) and mask (B, S) to logits (B, F).

    The backbone runs in bfloat16 where `bf16` says so; MoLRE, pooling and head always in float32. The network stays in evaluation mode:
    dropout and the statistics of batch normalisation are the backbone's, and a batch of single volumes would spoil the latter.
    """

    def __init__(self, classifier: HeadCTClassifier, cached: bool, bf16: bool) -> None:
        super().__init__()
        self.classifier = classifier.eval()
        self.cached, self.bf16 = cached, bf16

    def forward(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (B, F) of windowed slices, or of cached features."""
        return self.classifier.classify(self.features(inputs, mask), mask).logits

    def features(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the backbone gives for the inputs, float32; cached features are that already."""
        if self.cached:
            return inputs
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            return self.classifier.features(inputs, mask).float()


@dataclass
class Task:
    """What the loop works on: data, labels (N, F) and repeat factors (N,) of the training studies, and the data of validation.

    `judge` takes the logits (N, F) of validation and gives the metric that is to grow. `pull` adds to the gradients of each step, before
    they are clipped, where what learns is to be held to something.
    """

    training: Data
    labels: torch.Tensor
    factors: np.ndarray
    validation: Data
    validation_count: int
    judge: Callable[[np.ndarray], float]
    pull: Callable[[], None] | None = None


@dataclass(frozen=True)
class Pace:
    """How the loop reads and saves: worker processes of each process, where its state lies, and seconds between two saves."""

    workers: int
    checkpoint: Path
    checkpoint_seconds: float


def train(
    logits: Logits,
    state: RunState,
    loss_function: MaskedFocalLoss,
    task: Task,
    config: TrainingConfig,
    pace: Pace,
    group: Group,
    log: Callable[[list[dict[str, float | int | None]]], None],
) -> None:
    """Train to the end from wherever `state` stands; the best state by validation is restored at the end.

    Order, augmentation and learning rate follow from seed, epoch and position alone, so that a killed run ends as an unbroken one.
    Raises HeadCTError `diverged` where the loss is not finite.
    """
    wrapped = DistributedDataParallel(logits, broadcast_buffers=False) if group.world > 1 else logits
    parameters = list(state.parameters.values())
    progress = state.progress
    while progress.epoch < config.max_epochs and not _stops(state, config):
        plan = plan_epoch(task.factors, config.batch_studies, config.seed, progress.epoch, least=group.world)
        mine = plan.shard(group.rank, group.world)
        micro = [_split(batch, config.micro_batch) for batch in mine]
        ahead = [[Item(row, progress.epoch, position) for position, row in part] for parts in micro[progress.step :] for part in parts]
        batches = load(task.training, ahead, pace.workers)
        saved = time.monotonic()
        described = f"epoch {progress.epoch + 1}/{config.max_epochs}"
        with tqdm(
            total=len(plan), initial=progress.step, desc=described, unit="step", disable=None if group.first else True, mininterval=1
        ) as bar:
            while progress.step < len(plan):
                started = time.monotonic()
                rows = [row for _, row in plan.batches[progress.step]]
                known = int((~task.labels[rows].isnan()).sum())
                _set_rates(state.optimizer, config, progress.epoch + progress.step / len(plan))
                loss, waited = _step(wrapped, loss_function, task.labels, batches, len(micro[progress.step]), known, group)
                if task.pull is not None:
                    task.pull()
                nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
                state.optimizer.step()
                state.optimizer.zero_grad()
                progress.step += 1
                progress.loss_sum += loss
                progress.studies += len(rows)
                progress.waiting_seconds += waited
                progress.seconds += time.monotonic() - started
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update()
                if group.first and progress.step < len(plan) and time.monotonic() - saved >= pace.checkpoint_seconds:
                    state.save(pace.checkpoint)
                    saved = time.monotonic()
        _end_epoch(logits, state, task, len(plan), pace, group)
        if group.first:
            state.save(pace.checkpoint)
            log(progress.history)
        group.wait()
    state.restore_best()


def predict_logits(logits: Logits, data: Data, count: int, workers: int, group: Group, description: str = "scoring") -> np.ndarray:
    """Logits (N, F) float32 of a whole data set, shared among the processes and gathered in order in each of them."""
    mine = range(count)[group.rank :: group.world]
    parts = []
    bar = tqdm(total=len(mine), desc=description, unit="study", disable=None if group.first else True, leave=False, mininterval=1)
    with torch.inference_mode(), bar:
        for batch in load(data, [[Item(row)] for row in mine], workers):
            parts.append(logits(batch.inputs.to(group.device), batch.mask.to(group.device)).float())
            bar.update()
    findings = logits.classifier.head.out_features
    rows = torch.cat(parts) if parts else torch.zeros(0, findings, device=group.device)
    return group.gather_rows(rows, count).cpu().numpy()


def _step(
    model: nn.Module,
    loss_function: MaskedFocalLoss,
    labels: torch.Tensor,
    batches: object,
    parts: int,
    known: int,
    group: Group,
) -> tuple[float, float]:
    """Gradients of one global batch, added up over this process's parts of it; its loss and the seconds spent waiting for data."""
    total = torch.zeros((), device=group.device)
    waited = 0.0
    for part in range(parts):
        started = time.monotonic()
        batch: Batch = next(batches)  # type: ignore[call-overload]
        waited += time.monotonic() - started
        last = part == parts - 1
        # The gradients of all processes are averaged once, with the last part.
        context = nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()
        with context:
            output = model(batch.inputs.to(group.device, non_blocking=True), batch.mask.to(group.device, non_blocking=True))
            # The mean over the known labels of the whole batch, of which each process has a part; they are averaged, hence the factor.
            loss = loss_function.total(output, labels[batch.rows].to(group.device)) / max(known, 1)
            (loss * group.world).backward()
        total += loss.detach()
    if group.world > 1:
        torch.distributed.all_reduce(total)
    value = float(total)
    if not math.isfinite(value):
        raise HeadCTError("diverged", "The loss is not finite. Lower head_rate and adapter_rate, or set precision to fp32.", status=500)
    return value, waited


def _end_epoch(logits: Logits, state: RunState, task: Task, steps: int, pace: Pace, group: Group) -> None:
    progress = state.progress
    started = time.monotonic()
    metric = task.judge(predict_logits(logits, task.validation, task.validation_count, pace.workers, group, "validating"))
    progress.epoch += 1
    better = progress.best_metric is None or metric > progress.best_metric
    if better:
        progress.best_metric, progress.best_epoch = metric, progress.epoch
        state.keep_as_best()
    row = {
        "epoch": progress.epoch,
        "steps": steps,
        "loss": progress.loss_sum / steps,
        "validation_auc": metric,
        "best_epoch": progress.best_epoch,
        "head_rate": state.optimizer.param_groups[0]["lr"],
        "studies": progress.studies,
        "seconds": progress.seconds,
        "validation_seconds": time.monotonic() - started,
        "studies_per_second": progress.studies / max(progress.seconds, 1e-9),
        "waiting_share": progress.waiting_seconds / max(progress.seconds, 1e-9),
    }
    progress.history.append(row)
    progress.step, progress.studies = 0, 0
    progress.loss_sum = progress.seconds = progress.waiting_seconds = 0.0
    if group.first:
        logger.info("epoch %d: loss %.4f, validation AUC %.4f%s", row["epoch"], row["loss"], metric, " (best)" if better else "")


def _stops(state: RunState, config: TrainingConfig) -> bool:
    progress = state.progress
    return progress.epoch >= config.min_epochs and progress.epoch - progress.best_epoch >= config.patience


def _set_rates(optimizer: torch.optim.Optimizer, config: TrainingConfig, epoch: float) -> None:
    """Linear warm-up, then half a cosine down to zero at the last epoch: a function of how far the run is."""
    if epoch < config.warmup_epochs:
        factor = (epoch + 0.1) / (config.warmup_epochs + 0.1)
    else:
        factor = 0.5 * (1 + math.cos(math.pi * (epoch - config.warmup_epochs) / max(config.max_epochs - config.warmup_epochs, 1e-9)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def _split(batch: Sequence[tuple[int, int]], size: int) -> list[tuple[tuple[int, int], ...]]:
    return [tuple(batch[first : first + size]) for first in range(0, len(batch), size)]
