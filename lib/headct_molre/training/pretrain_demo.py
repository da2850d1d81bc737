"""Pretraining of the demo backbone: what does each patch, each slice and each study of phantoms show?"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import trange

from ..data.phantom.lesions import DRAWABLE, FIRST_LESION_ID
from ..imaging.prepare import windows
from ..models.backbones.demo import DIMENSION
from ..models.backbones.spec import NormalisedBackbone
from .losses import MaskedFocalLoss
from .phantom_samples import CLASSES, GRID, Sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainSettings:
    """Steps of the two phases, what is in a batch, peak learning rates of their one-cycle schedules, and the seed.

    In the first phase the network learns from slices, half of which were drawn because they show a finding that was drawn first, so that
    rare findings are seen as often as common ones. In the second it learns from whole studies that a finding counts wherever it lies.
    """

    steps: int = 2300
    batch_slices: int = 64
    learning_rate: float = 1.2e-3
    study_steps: int = 300
    batch_studies: int = 4
    study_learning_rate: float = 3e-4
    seed: int = 0


class PretrainHeads(nn.Module):
    """Linear maps from patch tokens and from the CLS token to classes, and from the mean CLS token of a study to findings."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(DIMENSION, CLASSES)
        self.slice = nn.Linear(DIMENSION, CLASSES)
        self.study = nn.Linear(DIMENSION, len(DRAWABLE))


def pretrain(backbone: NormalisedBackbone, heads: PretrainHeads, samples: list[Sample], settings: PretrainSettings) -> None:
    """The first phase, in place: patch tokens name tissues and lesions, the CLS token those of the slice."""
    rng = np.random.default_rng(settings.seed)
    draw = _HalfBalanced(samples)
    weights = _positive_weights(samples)
    parameters = [*backbone.train().parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, settings.steps, pct_start=0.1)
    for step in (progress := trange(settings.steps, desc="pretraining on slices", mininterval=10)):
        drawn = draw(settings.batch_slices, rng)
        flipped = rng.random() < 0.5
        slices = disturb(_windowed([samples[i].hu[r : r + 1] for i, r in drawn], flipped), rng)
        loss = _named(_tokens(backbone, slices), heads, samples, drawn, flipped, weights)
        _step(loss, optimizer, schedule, parameters)
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if step % 200 == 199:
            logger.info("pretraining on slices, step %d: loss %.4f", step + 1, loss.item())


def pretrain_on_studies(backbone: NormalisedBackbone, heads: PretrainHeads, samples: list[Sample], settings: PretrainSettings) -> None:
    """The second phase, in place: the mean CLS token of a study's slices names its findings, and slices and patches are named as before."""
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng(settings.seed + 1)
    weights = _positive_weights(samples)
    parameters = [*backbone.train().parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.study_learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.study_learning_rate, settings.study_steps, pct_start=0.1)
    study_loss = MaskedFocalLoss()
    for step in (progress := trange(settings.study_steps, desc="pretraining on studies", mininterval=10)):
        chosen = rng.choice(len(samples), settings.batch_studies, replace=False)
        flipped = rng.random() < 0.5
        slices = disturb(_windowed([samples[i].hu for i in chosen], flipped), rng)
        lengths = [len(samples[i].hu) for i in chosen]
        drawn = np.array([(i, r) for i, length in zip(chosen, lengths, strict=True) for r in range(length)])
        tokens = _tokens(backbone, slices)
        studies = torch.stack([part.mean(0) for part in tokens[:, 0].split(lengths)])
        labels = torch.from_numpy(np.stack([samples[i].labels for i in chosen]))
        loss = 4 * study_loss(heads.study(studies), labels) + _named(tokens, heads, samples, drawn, flipped, weights)
        _step(loss, optimizer, schedule, parameters)
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if step % 50 == 49:
            logger.info("pretraining on studies, step %d: loss %.4f", step + 1, loss.item())


def disturb(slices: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Brightness and noise augmentation of windowed slices (N, 3, H, W) in 0..1."""
    gain = torch.from_numpy(rng.uniform(0.93, 1.07, (len(slices), 1, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.015, (len(slices), 1, 1, 1)).astype(np.float32))
    return (slices * gain + offset + torch.randn_like(slices) * float(rng.uniform(0, 0.03))).clamp(0, 1)


class _HalfBalanced:
    """Draws half of the slices evenly over studies; for each of the others first a finding, then a slice that shows it."""

    def __init__(self, samples: list[Sample]) -> None:
        self.lengths = np.array([len(sample.hu) for sample in samples])
        pairs = ([(i, r) for i, sample in enumerate(samples) for r in np.flatnonzero(sample.shows[:, c])] for c in range(CLASSES))
        self.showing = [np.array(found) for found in list(pairs)[FIRST_LESION_ID:] if found]

    def __call__(self, size: int, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.integers(len(self.lengths), size=size - size // 2)
        even = np.stack([chosen, rng.integers(self.lengths[chosen])], axis=1)
        balanced = [self.showing[c][rng.integers(len(self.showing[c]))] for c in rng.integers(len(self.showing), size=size // 2)]
        return np.concatenate([even, np.array(balanced)])


def _windowed(parts: list[np.ndarray], flipped: bool) -> torch.Tensor:
    slices = torch.from_numpy(windows(np.concatenate(parts).astype(np.float32)))
    return slices.flip(-1) if flipped else slices


def _tokens(backbone: NormalisedBackbone, slices: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return backbone.tokens(slices).float()


def _named(
    tokens: torch.Tensor, heads: PretrainHeads, samples: list[Sample], drawn: np.ndarray, flipped: bool, weights: torch.Tensor
) -> torch.Tensor:
    """Cross entropy of what patches and slices (N, 1 + P, d) are said to show against what they show."""
    patches = torch.from_numpy(np.stack([samples[i].patches[r] for i, r in drawn])).float()
    if flipped:
        patches = patches.unflatten(1, GRID).flip(2).flatten(1, 2)
    shows = torch.from_numpy(np.stack([samples[i].shows[r] for i, r in drawn])).float()
    loss = nn.functional.binary_cross_entropy_with_logits(heads.patch(tokens[:, 1:]), patches, pos_weight=weights)
    return loss + nn.functional.binary_cross_entropy_with_logits(heads.slice(tokens[:, 0]), shows, pos_weight=weights.sqrt())


def _step(
    loss: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    parameters: list[nn.Parameter],
) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()


def _positive_weights(samples: list[Sample], limit: float = 30.0) -> torch.Tensor:
    share = np.mean([sample.patches.reshape(-1, CLASSES).mean(0) for sample in samples], axis=0)
    return torch.from_numpy(np.clip(1 / np.sqrt(np.clip(share, 1e-6, 1)), 1, limit).astype(np.float32))
