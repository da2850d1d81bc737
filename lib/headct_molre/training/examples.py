"""Studies to learn from, as tensors: slice features, which slices are real, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Examples:
    """N studies: features (N, S, d) of any float type, padded with zeros; mask (N, S) of real slices; labels (N, F) float32.

    Of a network that reads volumes, features are the parts (N, D', d) and the mask is not used.
    A label is 1, 0, a soft target between them, or NaN for what is not known. Raises ValueError where the shapes do not belong together.
    """

    features: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.mask) == len(self.labels):
            shapes = tuple(self.features.shape), tuple(self.mask.shape), tuple(self.labels.shape)
            raise ValueError(f"features, mask and labels do not belong together: {shapes}")

    @classmethod
    def of(
        cls, features: Sequence[torch.Tensor], labels: np.ndarray | torch.Tensor, masks: Sequence[torch.Tensor] | None = None
    ) -> Examples:
        """From features (S, d) of each study, all slices real where `masks` (S,) do not say otherwise, and labels (N, F)."""
        masks = [torch.ones(len(one), dtype=torch.bool) for one in features] if masks is None else masks
        pad = torch.nn.utils.rnn.pad_sequence
        return cls(pad(list(features), batch_first=True), pad(list(masks), batch_first=True), torch.as_tensor(labels, dtype=torch.float32))

    def take(self, rows: Sequence[int] | np.ndarray) -> Examples:
        """The studies in these rows, in this order."""
        index = torch.as_tensor(np.asarray(rows, np.int64))
        return Examples(self.features[index], self.mask[index], self.labels[index])

    def joined(self, other: Examples) -> Examples:
        """These studies and then the others, padded alike."""
        pad = torch.nn.utils.rnn.pad_sequence
        return Examples(
            pad([*self.features, *other.features.to(self.features.dtype)], batch_first=True),
            pad([*self.mask, *other.mask], batch_first=True),
            torch.cat([self.labels, other.labels]),
        )

    def labelled(self, labels: torch.Tensor) -> Examples:
        """The same studies with other labels (N, F)."""
        return Examples(self.features, self.mask, labels)

    def __len__(self) -> int:
        return len(self.features)
