"""The model card of the demo: calibration and operating points from validation, AUC from fresh phantoms."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ..data.phantom.lesions import DRAWABLE
from ..evaluation.auc import finding_auc, mean_auc
from ..evaluation.calibration import platt, youden_point
from ..findings import finding_keys
from ..schema import FindingMetrics, ModelCard
from .fresh_phantoms import FreshScores

LIMITATIONS = [
    "Trained on synthetic phantoms only. On a patient's scan its probabilities mean nothing; it exists to show and test the software.",
    "45 of the 75 findings cannot be drawn by the phantom: they are marked not estimable and always read 0.5.",
    "Mirrored phantoms are used in training: side is not assessed.",
]


def demo_card(
    version: str,
    validation_truth: np.ndarray,
    validation_logits: np.ndarray,
    fresh: FreshScores,
    backbone_sha256: str,
    hyperparameters: dict[str, float | int | str | bool | None],
    seconds: float,
) -> ModelCard:
    """Card of a demo version; truths and logits are (N, 75) in taxonomy order."""
    calibration, operating_points, metrics = {}, {}, {}
    for i, key in enumerate(finding_keys()):
        if key not in DRAWABLE:
            continue
        truth, logit = validation_truth[:, i], validation_logits[:, i].astype(np.float64)
        calibration[key] = platt(truth, logit)
        probability = 1 / (1 + np.exp(-(calibration[key].slope * logit + calibration[key].intercept)))
        operating_points[key] = youden_point(truth, probability)
        positives = int((fresh.truth[:, i] == 1).sum())
        metrics[key] = FindingMetrics(
            positives=positives, negatives=len(fresh.truth) - positives, auc=finding_auc(fresh.truth[:, i], fresh.logits[:, i])
        )
    return ModelCard(
        name="demo",
        version=version,
        backbone="demo",
        adapter="LoRA + MoLRE",
        demo=True,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        description="A small ViT with LoRA and MoLRE, trained on synthetic head CT phantoms.",
        intended_use="Demonstration and testing of the software. Not for any patient.",
        limitations=LIMITATIONS,
        licence="Apache-2.0",
        weights_sha256="0" * 64,
        backbone_sha256=backbone_sha256,
        hyperparameters={**hyperparameters, "training_seconds": round(seconds)},
        findings=list(finding_keys()),
        calibration=calibration,
        operating_points=operating_points,
        cohort={"fresh_phantoms": len(fresh.truth), "fresh_phantoms_refused": fresh.refused, "validation_phantoms": len(validation_truth)},
        metrics=metrics,
        mean_auc=mean_auc([metric.auc for metric in metrics.values()]),
        reproduce="python -m headct_molre.training.train_demo --out demo_model --work runs/demo",
    )
