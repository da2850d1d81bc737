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
    """Raw logits (n, 75) on held-out corrections, in which `rows` (n,) of all; and (M, 75) on the validation studies of the source set,
    None where its stored features are of another backbone than the champion's.
    """

    rows: np.ndarray
    held_out: np.ndarray
    source: np.ndarray | None


def champion_scores(inputs: Inputs, served: Path, places: Places, tell: Callable[[float], None]) -> ChampionScores:
    """Scores of the version in the folder `served`, whose backbone reads the studies itself where it was tuned with LoRA.

    Then a study whose images are gone, of which only the released version's features are left, is not judged by. Raises ModelUnavailable
    where the version cannot be loaded.
    """
    state = read_tensors(served / WEIGHTS)
    network = FeatureClassifier(inputs.base.classifier)
    validation = inputs.validation()
    if adapted_backbone_sha256(card_of(served).backbone_sha256, state) == inputs.base.backbone_sha256:
        network.load_tuned(state)
        rows = np.arange(len(inputs.held_out))
        return ChampionScores(rows, network.logits(inputs.judge), None if validation is None else network.logits(validation[0]))
    own = StudyFeatures(served, places, "cpu")
    found = own.of(inputs.held_out, lambda done: tell(0.9 * done / len(inputs.held_out)))
    rows = np.array([row for row, one in enumerate(inputs.held_out) if one.study in found], int)
    kept = [found[inputs.held_out[row].study] for row in rows]
    if not kept:
        return ChampionScores(rows, np.zeros((0, inputs.judge.labels.shape[1])), None)
    examples = Examples.of([features for features, _ in kept], inputs.judge.labels[rows], [mask for _, mask in kept])
    return ChampionScores(rows, FeatureClassifier(own.classifier).logits(examples), None)
