"""What a version brings along of the studies it was made from: features and labels, to learn from again and to test for a loss.

Features tell what the backbone saw, not the images; no name, id or date is in the file, patients are numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import ModelUnavailable
from ..hashing import file_sha256
from ..models.checkpoint import SOURCE_SET
from ..schema import ModelCard
from .examples import Examples

SPLITS = ("train", "validation")
# So many studies of a split are kept, drawn at random from all; 55 kB each at 36 slices of 768 features.
MOST_STUDIES = 2000


@dataclass(frozen=True)
class SourceSet:
    """N studies: features (S, d) of each, real slices only, as the version's own backbone gives them; labels (N, 75) of 1, 0 and NaN;
    `validation` (N,), true for the studies of the validation split and false for training ones; patients (N,) as numbers.
    """

    features: list[torch.Tensor]
    labels: np.ndarray
    validation: np.ndarray
    patients: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, split: str) -> np.ndarray:
        """Rows of the studies of "train" or "validation"."""
        return np.flatnonzero(self.validation == (split == "validation"))

    def examples(self, rows: np.ndarray) -> Examples:
        """The studies in these rows, to learn from or to score."""
        return Examples.of([self.features[row] for row in rows], self.labels[rows])

    def tensors(self) -> dict[str, torch.Tensor]:
        """As `write_version` stores it."""
        known = np.where(np.isfinite(self.labels) & np.isin(self.labels, (0, 1)), self.labels, -1)
        return {
            "features": torch.cat(self.features).half().contiguous(),
            "lengths": torch.tensor([len(one) for one in self.features], dtype=torch.int32),
            "labels": torch.from_numpy(known.astype(np.int8)),
            "split": torch.from_numpy(self.validation.astype(np.int8)),
            "patients": torch.from_numpy(self.patients.astype(np.int32)),
        }


def read_source_set(version: Path, card: ModelCard) -> SourceSet | None:
    """The source set in the folder of a version, None where the card names none. Raises ModelUnavailable where it is damaged or gone."""
    if card.source_sha256 is None:
        return None
    path = version / SOURCE_SET
    try:
        intact = file_sha256(path) == card.source_sha256
        tensors = load_file(path) if intact else {}
        labels = tensors["labels"].float().numpy()
        return SourceSet(
            list(tensors["features"].split(tensors["lengths"].tolist())),
            np.where(labels < 0, np.nan, labels),
            tensors["split"].numpy() == SPLITS.index("validation"),
            tensors["patients"].numpy(),
        )
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError):
        message = f"The source set {path} is damaged or missing. Restore the version {card.version} of {card.name}."
        raise ModelUnavailable("damaged_model", message) from None


def drawn(studies: int, seed: int, most: int = MOST_STUDIES) -> np.ndarray:
    """Rows of at most `most` of so many studies, drawn at random by the seed, in their order."""
    return np.sort(np.random.default_rng([seed, 13]).permutation(studies)[:most])
