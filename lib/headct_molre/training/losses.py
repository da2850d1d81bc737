"""Multi-label focal loss that ignores what was not assessed."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid


class MaskedFocalLoss(torch.nn.Module):
    """Focal loss (gamma 2) over known labels only, with a weight for each finding.

    MONAI's loss is the same without a mask; importing it takes longer than a small fine-tune.
    """

    weight: torch.Tensor | None

    def __init__(self, weight: torch.Tensor | None = None, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits (B, F) and labels (B, F) of 1, 0, a soft target between them, or NaN -> mean over the known labels; 0 where none is."""
        return self.total(logits, labels) / (~labels.isnan()).sum().clamp(min=1)

    def total(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The sum over the known labels, for batches that are worked on in parts: their sums add up to the batch's."""
        return self.weighted(logits, labels, 1.0)

    def weighted(self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | float) -> torch.Tensor:
        """The sum over the known labels with weights (B, 1) of the studies."""
        loss = focal_loss(logits, labels.nan_to_num(0.0), self.gamma) * ~labels.isnan()
        if self.weight is not None:
            loss = loss * torch.where(labels == 1, self.weight, 1.0)
        return (loss * weights).sum()


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, gamma: float) -> torch.Tensor:
    """-(1 - p)^gamma log(p) of every label, with p the probability that the logit gives to it (Lin et al. 2017, equation 4)."""
    cross_entropy = logits - logits * labels - logsigmoid(logits)
    log_of_rest = logsigmoid(-logits * (labels * 2 - 1))
    return (log_of_rest * gamma).exp() * cross_entropy


def prevalence_weights(labels: torch.Tensor, limit: float = 10.0) -> torch.Tensor:
    """Weight (F,) of a positive label: sqrt(negatives / positives) among the known labels (N, F), within 1..`limit`."""
    positives = (labels == 1).sum(0).float()
    negatives = (labels == 0).sum(0).float()
    return (negatives / positives.clamp(min=1)).sqrt().clamp(1.0, limit)
