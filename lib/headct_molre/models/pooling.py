"""Attention pooling over slices: one learned query (arXiv 2512.12887, section 3), or the gated form (arXiv 1802.04712)."""

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
        return _masked_softmax(features @ self.query / math.sqrt(features.shape[-1]), mask)


class GatedAttentionPooling(nn.Module):
    """a = softmax(w (tanh(V h) * sigmoid(U h))): attention-based multiple instance learning, equation 9 of Ilse et al. 2018."""

    def __init__(self, dimension: int, width: int = 128) -> None:
        super().__init__()
        self.content = nn.Linear(dimension, width)  # V
        self.gate = nn.Linear(dimension, width)  # U
        self.score = nn.Linear(width, 1, bias=False)  # w

    def forward(self, features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Features (B, S, d) -> attention (B, S), which sums to 1 over the slices that `mask` (B, S) holds true."""
        return _masked_softmax(self.score(self.content(features).tanh() * self.gate(features).sigmoid())[..., 0], mask)


POOLINGS = {"query": AttentionPooling, "gated": GatedAttentionPooling}


def _masked_softmax(scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return (scores if mask is None else scores.masked_fill(~mask, float("-inf"))).softmax(-1)
