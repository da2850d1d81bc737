"""What a fine-tune minimises, beside the anchor: the loss of the corrections and, by its weight, that of the replayed studies."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ..examples import Examples
from ..losses import MaskedFocalLoss, prevalence_weights
from .config import FineTuneConfig
from .head import FeatureClassifier


class Objective:
    """Loss of a batch; its mean over the batches of an epoch is the loss of everything, since each has its share of both sorts of studies.

    A correction's labels weigh 1 / their number, replayed ones replay_weight / their number. Where the settings ask for it, what was
    not assessed is pulled to what the untuned network says of it, by plain cross-entropy: the focal loss of a soft target is not
    least at the target.
    """

    def __init__(self, network: FeatureClassifier, corrections: Examples, replay: Examples | None, config: FineTuneConfig) -> None:
        self._config, self._corrections = config, len(corrections)
        self._examples = corrections if replay is None else corrections.joined(replay)
        self._focal = MaskedFocalLoss(prevalence_weights(self._examples.labels, config.positive_weight_limit), config.focal_gamma)
        known = (~self._examples.labels.isnan()).sum(1).double()
        self._weights = torch.full((len(self._examples), 1), 1 / max(float(known[: len(corrections)].sum()), 1.0))
        self._weights[len(corrections) :] = config.replay_weight / max(float(known[len(corrections) :].sum()), 1.0)
        self._own: torch.Tensor | None = None
        if config.not_assessed == "distilled":
            self._own = torch.full_like(self._examples.labels, torch.nan)
            own = torch.from_numpy(network.logits(corrections)).float().sigmoid()
            self._own[: len(corrections)] = torch.where(corrections.labels.isnan(), own, torch.nan)

    def __len__(self) -> int:
        """Steps of an epoch."""
        return max(1, math.ceil(len(self._examples) / self._config.batch_studies))

    def batches(self, epoch: int) -> Iterator[np.ndarray]:
        """Rows of the studies of each step, as a function of seed and epoch alone."""
        rng = np.random.default_rng([self._config.seed, epoch, 7])
        corrections = np.array_split(rng.permutation(self._corrections), len(self))
        replayed = np.array_split(self._corrections + rng.permutation(len(self._examples) - self._corrections), len(self))
        # The longer parts come first in either split: turned round, batches are of one size.
        yield from (np.concatenate(pair) for pair in zip(corrections, replayed[::-1], strict=True))

    def __call__(self, network: FeatureClassifier, rows: np.ndarray) -> torch.Tensor:
        part = self._examples.take(rows)
        logits = network(part.features.float(), part.mask)
        weights = self._weights[torch.from_numpy(rows)]
        loss = self._focal.weighted(logits, part.labels, weights)
        if self._own is not None:
            own = self._own[torch.from_numpy(rows)]
            pulled = binary_cross_entropy_with_logits(logits, own.nan_to_num(0.0), reduction="none")
            loss = loss + self._config.distilled_weight * (pulled * ~own.isnan() * weights).sum()
        return len(self) * loss
