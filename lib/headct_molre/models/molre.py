"""Mixture of Low-Rank Experts: routed low-rank adaptation of a feature vector (arXiv 2603.00675, equations 1 and 2)."""

from __future__ import annotations

import math

import torch
from torch import nn


class MoLRE(nn.Module):
    """h(x) = W0 x + sum_i g_i(x) (B_i (A_i x + a_i) + b_i), with g(x) = softmax(W2 relu(W1 x)).

    W0 is the identity, or the frozen projection that the features come with. B_i and b_i are zero at the start, so that
    training begins at the frozen path; the router learns from the task loss alone. With biases on both linears of an
    expert the parameter counts are the published ones (0.28 M at 768, 0.37 M at 1024, 0.41 M at 1152).
    """

    projection: torch.Tensor | None

    def __init__(
        self, dimension: int, experts: int = 6, rank: int = 8, router_width: int = 256, projection: torch.Tensor | None = None
    ) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(experts, rank, dimension))  # A_i
        self.down_bias = nn.Parameter(torch.zeros(experts, rank))  # a_i
        self.up = nn.Parameter(torch.zeros(experts, dimension, rank))  # B_i
        self.up_bias = nn.Parameter(torch.zeros(experts, dimension))  # b_i
        self.router = nn.Sequential(nn.Linear(dimension, router_width), nn.ReLU(), nn.Linear(router_width, experts))
        self.register_buffer("projection", projection)
        for expert in self.down:
            nn.init.kaiming_uniform_(expert, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (..., d) -> adapted features (..., d) and router weights (..., K) that sum to 1."""
        gates = self.router(x).softmax(-1)
        hidden = torch.einsum("...d,krd->...kr", x, self.down) + self.down_bias
        update = torch.einsum("...kr,kdr->...d", hidden * gates[..., None], self.up) + gates @ self.up_bias
        base = x if self.projection is None else x @ self.projection
        return base + update, gates

    def linear_part(self, weight: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
        """M (B, F, d) such that weight @ h(x) = M @ x + a constant for inputs x (B, d) with these gates (B, K); weight is (F, d).

        With the gates held, h is affine: whatever sums to x has an exact share in each row of weight @ h(x).
        """
        experts = torch.einsum("fd,kdr->kfr", weight, self.up)
        update = torch.einsum("bk,kfr,krd->bfd", gates, experts, self.down)
        return (weight if self.projection is None else weight @ self.projection.T) + update
