"""The model card of a trained version: how it was made, calibration and points from validation, metrics from held-out studies."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ..data.cohort import Cohort
from ..evaluation.auc import mean_auc
from ..evaluation.calibration import fit_calibration
from ..evaluation.card_metrics import card_metrics
from ..evaluation.operating_points import fit_operating_points
from ..findings import finding_keys
from ..models.backbones.spec import BackboneSpec
from ..schema import Calibration, ModelCard
from .config import TrainingConfig


def adapter_name(config: TrainingConfig, spec: BackboneSpec) -> str:
    """What learns beside pooling and head, in words."""
    parts = ["whole network"] if spec.trained is not None else []
    parts += ["LoRA"] if config.lora and spec.lora_targets else []
    parts += ["MoLRE"] if config.molre and spec.molre else []
    return " + ".join(parts) or "linear probe"


def hyperparameters(config: TrainingConfig, input_px: tuple[int, int]) -> dict[str, float | int | str | bool | None]:
    """All settings of a run, flat, with the input size and the adapters as `load_classifier` reads them."""
    flat: dict[str, float | int | str | bool | None] = {}
    for name, value in config.model_dump(exclude={"model"}).items():
        group = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{name}_{key}" if key else name: setting for key, setting in group}
    adapters = config.adapters
    flat |= {"lora_rank": adapters["lora_rank"], "molre_experts": adapters["experts"]}
    return flat | {"input_height_px": input_px[0], "input_width_px": input_px[1]}


def frozen_on_validation(truth: np.ndarray, logits: np.ndarray) -> tuple[dict[str, Calibration], dict[str, float]]:
    """Calibration and operating points from validation: truth (N, 75) of 1, 0 and NaN, raw logits (N, 75)."""
    calibration = fit_calibration(truth, logits, finding_keys())
    probabilities = calibrated(logits, calibration)
    return calibration, fit_operating_points(truth, probabilities, finding_keys())


def calibrated(logits: np.ndarray, calibration: dict[str, Calibration]) -> np.ndarray:
    """Calibrated probabilities (N, 75) of raw logits; those of a finding without calibration are the logit's own."""
    scales = [calibration.get(key, Calibration(slope=1.0, intercept=0.0)) for key in finding_keys()]
    slope, intercept = (np.array([getattr(scale, name) for scale in scales]) for name in ("slope", "intercept"))
    return np.asarray(1 / (1 + np.exp(-(logits.astype(np.float64) * slope + intercept))))


def build_card(
    config: TrainingConfig,
    spec: BackboneSpec,
    input_px: tuple[int, int],
    version: str,
    backbone_sha256: str,
    parts: dict[str, Cohort],
    validation_logits: np.ndarray,
    test_logits: np.ndarray | None,
    reproduce: str,
) -> ModelCard:
    """The card of a version, its weights' hash still to be filled in; `parts` are the accepted studies of each split.

    Metrics are of the test split; where there is none, of validation, and the limitations say so.
    """
    truth = parts["validation"].labels()
    calibration, points = frozen_on_validation(truth, validation_logits)
    tested, logits = ("validation", validation_logits) if test_logits is None else ("test", test_logits)
    trained = np.isfinite(parts["train"].labels()).any(0)
    metrics = {
        key: metric
        for key, metric in card_metrics(parts[tested].labels(), logits, calibration, points).items()
        if trained[finding_keys().index(key)]
    }
    demo = spec.name == "demo" or any(study.synthetic for study in parts["train"].studies)
    return ModelCard(
        name=config.model,
        version=version,
        backbone=spec.name,
        adapter=adapter_name(config, spec),
        demo=demo,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        description=f"{spec.title} with {adapter_name(config, spec)}, trained on {len(parts['train'])} studies.",
        intended_use="Demonstration and testing of the software. Not for any patient." if demo else "Research. Not a medical device.",
        limitations=_limitations(config, parts, points, tested, demo),
        licence=spec.licence,
        weights_sha256="0" * 64,
        backbone_sha256=backbone_sha256,
        hyperparameters=hyperparameters(config, input_px),
        findings=list(finding_keys()),
        calibration=calibration,
        operating_points=points,
        cohort={f"{split}_{what}": count for split, part in parts.items() for what, count in _counts(part).items()},
        metrics=metrics,
        mean_auc=mean_auc([metric.auc for metric in metrics.values()]),
        reproduce=reproduce,
    )


def _limitations(config: TrainingConfig, parts: dict[str, Cohort], points: dict[str, float], tested: str, demo: bool) -> list[str]:
    total = len(finding_keys())
    found = []
    if demo:
        found.append(
            "Trained on synthetic phantoms: on a patient's scan its probabilities mean nothing. It exists to show and test the software."
        )
    if len(points) < total:
        found.append(f"{total - len(points)} of the {total} findings had too few labelled studies: they are marked not estimable.")
    if config.features == "images" and config.augmentation.enabled and config.augmentation.mirror_share > 0:
        found.append("Mirrored studies are used in training: side is not assessed.")
    if tested == "validation":
        found.append("There was no test split: the metrics are of the validation studies that also chose the epoch, and flatter the model.")
    return found


def _counts(part: Cohort) -> dict[str, int]:
    return {"studies": len(part), "patients": len(set(part.patients))}
