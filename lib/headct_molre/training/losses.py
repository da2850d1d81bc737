"""Multi-label focal loss that ignores what was not assessed."""

from __future__ import annotations

import torch
from monai.losses import FocalLoss


class MaskedFocalLoss(torch.nn.Module):
    """Focal loss (gamma 2) over known labels only, with a weight for each finding; MONAI's loss does not mask itself."""

    weight: torch.Tensor | None

    def __init__(self, weight: torch.Tensor | None = None, gamma: float = 2.0) -> None:
        super().__init__()
        self.focal = FocalLoss(gamma=gamma, reduction="none")
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits (B, F) and labels (B, F) of 1, 0 or NaN -> mean over the known labels; 0 where none is known."""
        known = ~labels.isnan()
        loss = self.focal(logits, labels.nan_to_num(0.0)) * known
        if self.weight is not None:
            loss = loss * torch.where(labels == 1, self.weight, 1.0)
        return loss.sum() / known.sum().clamp(min=1)


def prevalence_weights(labels: torch.Tensor, limit: float = 10.0) -> torch.Tensor:
    """Weight (F,) of a positive label: sqrt(negatives / positives) among the known labels (N, F), within 1..`limit`."""
    positives = (labels == 1).sum(0).float()
    negatives = (labels == 0).sum(0).float()
    return (negatives / positives.clamp(min=1)).sqrt().clamp(1.0, limit)
