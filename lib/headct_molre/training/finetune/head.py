"""The part of a classifier that learns on stored features: MoLRE, pooling and head, without the backbone."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from ...models.classifier import HeadCTClassifier
from ..examples import Examples

SCORED_AT_ONCE = 64


class FeatureClassifier(nn.Module):
    """A copy of a classifier's MoLRE, pooling and head; the classifier itself, and what it shares with a server, stays as it is."""

    def __init__(self, classifier: HeadCTClassifier) -> None:
        super().__init__()
        memo = {id(classifier.backbone): nn.Identity()}
        self._whole = copy.deepcopy(classifier, memo).eval().requires_grad_(True)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Features (B, S, d) and mask (B, S) to logits (B, F)."""
        return self._whole.logits(features, mask)

    def tuned(self) -> dict[str, nn.Parameter]:
        """What learns, by the name that a version stores it under."""
        return dict(self._whole.named_parameters())

    def load_tuned(self, state: dict[str, torch.Tensor]) -> None:
        """Take on a state by the names of `tuned`."""
        with torch.no_grad():
            for name, parameter in self.tuned().items():
                parameter.copy_(state[name])

    def head_names(self) -> set[str]:
        """Names of pooling and head, which learn at their own rate."""
        return {name for name in self.tuned() if name.startswith(("head.", "pooling."))}

    def logits(self, examples: Examples) -> np.ndarray:
        """Logits (N, F) float64 of examples."""
        if not len(examples):
            return np.zeros((0, self._whole.head.out_features))
        parts = zip(examples.features.split(SCORED_AT_ONCE), examples.mask.split(SCORED_AT_ONCE), strict=True)
        with torch.inference_mode():
            found = [self(features.float(), mask) for features, mask in parts]
        return torch.cat(found).double().numpy()
