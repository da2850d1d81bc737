"""Pretraining of the demo backbone: what does each patch, and each slice, of a phantom show?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import trange

from ..data.phantom.lesions import FIRST_LESION_ID
from ..models.backbones.demo import DIMENSION, PATCH_PX, SPEC
from ..models.backbones.spec import NormalisedBackbone
from .phantom_samples import CLASSES, Sample

logger = logging.getLogger(__name__)

Draw = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class PretrainSettings:
    """Steps of the two phases, slices in a batch, peak learning rates of their one-cycle schedules, and the seed.

    The first phase draws slices evenly and learns anatomy; in the second, half of a batch shows a finding that was drawn
    first, so that rare findings are seen as often as common ones.
    """

    steps: int = 1400
    balanced_steps: int = 950
    batch: int = 64
    learning_rate: float = 1e-3
    balanced_learning_rate: float = 7e-4
    seed: int = 0


def pretrain(samples: list[Sample], settings: PretrainSettings) -> NormalisedBackbone:
    """The first phase: train the ViT so that patch tokens name tissues and lesions, and the CLS token those of the slice."""
    torch.manual_seed(settings.seed)
    backbone = NormalisedBackbone(SPEC)
    draw = _even(samples)
    _train(backbone, samples, draw, settings.steps, settings.batch, settings.learning_rate, np.random.default_rng(settings.seed))
    return backbone.eval()


def pretrain_balanced(backbone: NormalisedBackbone, samples: list[Sample], settings: PretrainSettings) -> NormalisedBackbone:
    """The second phase, from the first one's network, with output layers made anew."""
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng(settings.seed + 1)
    draw = _half_balanced(samples)
    _train(backbone.train(), samples, draw, settings.balanced_steps, settings.batch, settings.balanced_learning_rate, rng)
    return backbone.eval()


def _train(
    backbone: NormalisedBackbone,
    samples: list[Sample],
    draw: Draw,
    steps: int,
    batch: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> None:
    heads = nn.ModuleDict({"patch": nn.Linear(DIMENSION, CLASSES), "slice": nn.Linear(DIMENSION, CLASSES)})
    parameters = [*backbone.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    weights = _positive_weights(samples)
    progress = trange(steps, desc="pretraining", mininterval=10)
    for step in progress:
        slices, patches, shows = _batch(samples, draw(batch, rng), rng)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = backbone.tokens(slices)
            patch_logits, slice_logits = heads["patch"](tokens[:, 1:]), heads["slice"](tokens[:, 0])
        loss = nn.functional.binary_cross_entropy_with_logits(patch_logits.float(), patches, pos_weight=weights)
        loss = loss + nn.functional.binary_cross_entropy_with_logits(slice_logits.float(), shows, pos_weight=weights.sqrt())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        if step % 200 == 199:
            logger.info("pretraining step %d: loss %.4f", step + 1, loss.item())


def _even(samples: list[Sample]) -> Draw:
    """Draws slices evenly over studies: `size` pairs (study, slice)."""
    lengths = np.array([len(sample.slices) for sample in samples])

    def draw(size: int, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.integers(len(samples), size=size)
        return np.stack([chosen, rng.integers(lengths[chosen])], axis=1)

    return draw


def _half_balanced(samples: list[Sample]) -> Draw:
    """Draws half of the slices evenly; for each of the others first a finding, then a slice that shows it."""
    even = _even(samples)
    showing: list[np.ndarray] = []
    for lesion in range(FIRST_LESION_ID, CLASSES):
        pairs = [(i, r) for i, sample in enumerate(samples) for r in np.flatnonzero(sample.shows[:, lesion])]
        if pairs:
            showing.append(np.array(pairs))

    def draw(size: int, rng: np.random.Generator) -> np.ndarray:
        balanced = [showing[c][rng.integers(len(showing[c]))] for c in rng.integers(len(showing), size=size // 2)]
        return np.concatenate([even(size - size // 2, rng), np.array(balanced)])

    return draw


def disturb(slices: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Brightness and noise augmentation of windowed slices (N, 3, H, W) in 0..1."""
    gain = torch.from_numpy(rng.uniform(0.93, 1.07, (len(slices), 1, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.015, (len(slices), 1, 1, 1)).astype(np.float32))
    return (slices * gain + offset + torch.randn_like(slices) * float(rng.uniform(0, 0.03))).clamp(0, 1)


def _batch(samples: list[Sample], drawn: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    slices = torch.from_numpy(np.stack([samples[i].slices[r] for i, r in drawn])).float() / 255
    patches = torch.from_numpy(np.stack([samples[i].patches[r] for i, r in drawn])).float()
    shows = torch.from_numpy(np.stack([samples[i].shows[r] for i, r in drawn])).float()
    if rng.random() < 0.5:
        slices = slices.flip(-1)
        grid = (SPEC.input_px[0] // PATCH_PX, SPEC.input_px[1] // PATCH_PX)
        patches = patches.unflatten(1, grid).flip(2).flatten(1, 2)
    return disturb(slices, rng), patches, shows


def _positive_weights(samples: list[Sample], limit: float = 30.0) -> torch.Tensor:
    share = np.mean([sample.patches.reshape(-1, CLASSES).mean(0) for sample in samples], axis=0)
    return torch.from_numpy(np.clip(1 / np.sqrt(np.clip(share, 1e-6, 1)), 1, limit).astype(np.float32))
