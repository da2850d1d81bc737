"""From slice features to what selection needs of a study: the probabilities of a version, and the feature of the study as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..evaluation.calibration import probabilities_of
from ..findings import finding_keys, positions
from ..models.classifier import HeadCTClassifier
from ..schema import ModelCard


@dataclass(frozen=True)
class Scored:
    """Calibrated probabilities (N, 75) in taxonomy order and pooled features (N, d) of studies; `finite` (N,): those that are numbers."""

    probabilities: np.ndarray
    pooled: np.ndarray
    finite: np.ndarray


class FeatureHead:
    """What reads slice features in one version, as `predict.build_prediction` reads its output."""

    def __init__(self, classifier: HeadCTClassifier, card: ModelCard) -> None:
        self._classifier, self._calibration = classifier, card.calibration
        self._order = positions(finding_keys(), within=card.findings)

    def score(self, features: torch.Tensor, mask: torch.Tensor) -> Scored:
        """Slice features (N, S, d) and which slices are real (N, S), or parts of volumes (N, D, d)."""
        with torch.inference_mode():
            output = self._classifier.classify(features, mask)
        logits, pooled = output.logits.double().numpy()[:, self._order], output.pooled.numpy()
        finite = np.isfinite(logits).all(1) & np.isfinite(pooled).all(1)
        return Scored(probabilities_of(logits, finding_keys(), self._calibration), pooled, finite)
