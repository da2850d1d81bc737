"""Attention pooling over slices with one learned query (arXiv 2512.12887, section 3)."""

from __future__ import annotations

import math

import torch
from torch import nn


class AttentionPooling(nn.Module):
    """a = softmax(H q / sqrt(d)); the volume feature is the attention-weighted mean of the slice features."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(dimension))
        nn.init.trunc_normal_(self.query, std=0.02)

    def forward(self, features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Features (B, S, d) -> attention (B, S), which sums to 1 over the slices that `mask` (B, S) holds true."""
        scores = features @ self.query / math.sqrt(features.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(-1)
