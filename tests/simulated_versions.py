"""Two versions of a model whose true difference is known: cards, and logits on studies that neither learned from."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from headct_molre.findings import finding_keys
from headct_molre.schema import Calibration, ModelCard
from headct_molre.training.gate import HeldOut
from simulated_cohort import separation

KEYS = finding_keys()


def version_card(version: str, **changes: object) -> ModelCard:
    """The card of a version whose logits are calibrated as they are."""
    document = {
        "name": "demo",
        "version": version,
        "backbone": "demo",
        "adapter": "MoLRE",
        "demo": True,
        "created": "2026-01-01T00:00:00+00:00",
        "description": "for tests",
        "intended_use": "tests",
        "limitations": [],
        "licence": "Apache-2.0",
        "weights_sha256": f"{sum(map(ord, version)):064x}",
        "backbone_sha256": "0" * 64,
        "hyperparameters": {"seed": 0},
        "findings": list(KEYS),
        "calibration": dict.fromkeys(KEYS, Calibration(slope=1, intercept=0)),
        "operating_points": dict.fromkeys(KEYS, 0.5),
        "cohort": {},
        "metrics": {},
        "mean_auc": None,
        "reproduce": "",
    }
    return ModelCard.model_validate(document | changes)


def held_out_pair(
    studies: int,
    seed: int = 0,
    gain: float | np.ndarray = 0.0,
    auc: float = 0.85,
    shared_noise: float = 0.9,
    readers: int = 1,
    not_assessed: float = 0.05,
) -> HeldOut:
    """Studies on which the champion has this AUC and the candidate `gain` standard deviations more between absent and present.

    Of the noise of the two versions' scores, `shared_noise` is the same. The scores are true log odds.
    """
    rng = np.random.default_rng(seed)
    prevalence = np.geomspace(0.3, 0.004, len(KEYS))
    truth = (rng.random((studies, len(KEYS))) < prevalence).astype(float)
    shape = truth.shape
    common = np.sqrt(0.3) * rng.normal(size=(studies, 1)) + np.sqrt(0.7) * rng.normal(size=shape)

    def log_odds(distance: np.ndarray) -> np.ndarray:
        score = np.sqrt(shared_noise) * common + np.sqrt(1 - shared_noise) * rng.normal(size=shape) + distance * truth
        return distance * score - distance**2 / 2 + logit(prevalence)

    distance = np.broadcast_to(separation(auc), len(KEYS))
    champion, candidate = log_odds(distance), log_odds(distance + gain)
    truth[rng.random(shape) < not_assessed] = np.nan
    return HeldOut(
        truth,
        champion,
        candidate,
        np.array([f"patient-{number:05d}" for number in range(studies)]),
        np.array([f"reader-{number % readers}" for number in range(studies)]),
    )
