"""What the version that is served says of the studies that the gate judges by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.feature_cache import adapted_backbone_sha256
from ...models.checkpoint import WEIGHTS
from ...models.versions import card_of
from ...models.weights import read_tensors
from ..examples import Examples
from .head import FeatureClassifier
from .inputs import Inputs
from .study_features import Places, StudyFeatures


@dataclass(frozen=True)
class ChampionScores:
    """Raw logits (N, 75) on the held-out corrections, and (M, 75) on the validation studies of the source set, None where its stored
    features are of another backbone than the champion's.
    """

    held_out: np.ndarray
    source: np.ndarray | None


def champion_scores(inputs: Inputs, served: Path, places: Places, tell: Callable[[float], None]) -> ChampionScores:
    """Scores of the version in the folder `served`, whose backbone reads the studies itself where it was tuned with LoRA.

    Raises ModelUnavailable where the version cannot be loaded.
    """
    state = read_tensors(served / WEIGHTS)
    network = FeatureClassifier(inputs.base.classifier)
    validation = inputs.validation()
    if adapted_backbone_sha256(card_of(served).backbone_sha256, state) == inputs.base.backbone_sha256:
        network.load_tuned(state)
        return ChampionScores(network.logits(inputs.judge), None if validation is None else network.logits(validation[0]))
    own = StudyFeatures(served, places, "cpu")
    found = own.of(inputs.held_out, lambda done: tell(0.9 * done / len(inputs.held_out)))
    logits = np.zeros((len(inputs.held_out), inputs.judge.labels.shape[1]))
    network = FeatureClassifier(own.classifier)
    for row, one in enumerate(inputs.held_out):
        features, mask = found[one.study]
        logits[row] = network.logits(Examples(features[None], mask[None], inputs.judge.labels[row : row + 1]))[0]
    return ChampionScores(logits, None)
