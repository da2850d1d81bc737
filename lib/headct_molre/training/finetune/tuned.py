"""What a mode of fine-tuning hands on, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from .card import Setting


@dataclass(frozen=True)
class Tuned:
    """A tuned version before it is written.

    `tensors` are all that it stores; `held_out` (N, 75) its raw logits on the held-out corrections; `source` (M, 75) those on the
    validation studies of the source set, None where its features do not fit it; `out_of_fold` (n, 75) those on the corrections that it
    learned from, by fits that did not see them, None where there were none. `adapters` are settings that it has and the released
    version has not.
    """

    tensors: dict[str, torch.Tensor]
    strength: float
    held_out: np.ndarray
    source: np.ndarray | None
    out_of_fold: np.ndarray | None
    metrics: dict[str, float]
    adapters: dict[str, Setting] = field(default_factory=dict)
