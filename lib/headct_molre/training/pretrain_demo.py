"""Pretraining of the demo backbone: what does each patch, and each slice, of a phantom show?"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import trange

from ..models.backbones.demo import DIMENSION, PATCH_PX, SPEC
from ..models.backbones.spec import NormalisedBackbone
from .phantom_samples import CLASSES, Sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainSettings:
    """Steps of a batch of slices, peak learning rate of a one-cycle schedule, and the seed."""

    steps: int = 1400
    batch: int = 64
    learning_rate: float = 1e-3
    seed: int = 0


def pretrain(samples: list[Sample], settings: PretrainSettings) -> NormalisedBackbone:
    """Train the ViT so that patch tokens name tissues and lesions and the CLS token names those of the slice."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    backbone = NormalisedBackbone(SPEC)
    heads = nn.ModuleDict({"patch": nn.Linear(DIMENSION, CLASSES), "slice": nn.Linear(DIMENSION, CLASSES)})
    parameters = [*backbone.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, settings.steps, pct_start=0.1)
    weights = _positive_weights(samples)
    lengths = np.array([len(sample.slices) for sample in samples])
    progress = trange(settings.steps, desc="pretraining", mininterval=10)
    for step in progress:
        slices, patches, shows = _batch(samples, lengths, settings.batch, rng)
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
    return backbone.eval()


def disturb(slices: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Brightness and noise augmentation of windowed slices (N, 3, H, W) in 0..1."""
    gain = torch.from_numpy(rng.uniform(0.93, 1.07, (len(slices), 1, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.015, (len(slices), 1, 1, 1)).astype(np.float32))
    return (slices * gain + offset + torch.randn_like(slices) * float(rng.uniform(0, 0.03))).clamp(0, 1)


def _batch(
    samples: list[Sample], lengths: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chosen = rng.integers(len(samples), size=size)
    rows = rng.integers(lengths[chosen])
    slices = torch.from_numpy(np.stack([samples[i].slices[r] for i, r in zip(chosen, rows, strict=True)])).float() / 255
    patches = torch.from_numpy(np.stack([samples[i].patches[r] for i, r in zip(chosen, rows, strict=True)])).float()
    shows = torch.from_numpy(np.stack([samples[i].shows[r] for i, r in zip(chosen, rows, strict=True)])).float()
    if rng.random() < 0.5:
        slices = slices.flip(-1)
        grid = (SPEC.input_px[0] // PATCH_PX, SPEC.input_px[1] // PATCH_PX)
        patches = patches.unflatten(1, grid).flip(2).flatten(1, 2)
    return disturb(slices, rng), patches, shows


def _positive_weights(samples: list[Sample], limit: float = 30.0) -> torch.Tensor:
    share = np.mean([sample.patches.reshape(-1, CLASSES).mean(0) for sample in samples], axis=0)
    return torch.from_numpy(np.clip(1 / np.sqrt(np.clip(share, 1e-6, 1)), 1, limit).astype(np.float32))
