"""A served model's raw logits on every study of a cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..data.augmentation import AugmentationSettings
from ..data.cache_folder import cache_folder, cache_limit_bytes
from ..data.cohort import Cohort
from ..data.prepared_cache import PreparedCache
from ..evaluation.scores import Scores
from ..findings import finding_keys, positions
from ..models.checkpoint import load_classifier
from ..models.engines.hardware import hardware_of
from ..schema import ModelCard
from .dataset import StudyDataset
from .distributed import Group
from .loop import Logits, predict_logits
from .prepared_cohort import prepare_cohort


def score_model(
    cohort: Cohort, model: str, device: str | None = None, cache: Path | None = None, workers: int = 2
) -> tuple[Scores, ModelCard, dict[str, str]]:
    """Scores of the studies that the gate accepts, the card of the version that gave them, and why the other studies were refused.

    The backbone runs in the number type in which versions are trained on that device. Raises what `load_classifier` raises.
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    classifier, card, spec = load_classifier(model, str(where))
    prepared = prepare_cohort(
        cohort, PreparedCache((cache or cache_folder()) / "prepared", cache_limit_bytes()), spec.grid, max(workers, 1)
    )
    data = StudyDataset(prepared, spec, classifier.input_px, AugmentationSettings(), 0)
    logits = Logits(classifier, cached=False, bf16=hardware_of(where.type).bf16)
    values = predict_logits(logits, data, len(prepared.cohort), workers, Group(0, 1, where))
    studies = tuple(study.study for study in prepared.cohort.studies)
    return Scores(studies, _in_taxonomy_order(values, card)), card, {refusal.study: refusal.message for refusal in prepared.refused}


def _in_taxonomy_order(values: np.ndarray, card: ModelCard) -> np.ndarray:
    return values[:, positions(finding_keys(), within=card.findings)].astype(np.float64)
