"""The model card of a trained version: how it was made, calibration and points from validation, metrics from held-out studies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from ..data.cohort import Cohort
from ..evaluation.auc import auc_estimate, mean_auc, patient_codes
from ..evaluation.card_metrics import card_metrics
from ..evaluation.frozen import fit_frozen
from ..evaluation.scores import Scores
from ..findings import finding_keys
from ..models.backbones.spec import BackboneSpec
from ..schema import ModelCard
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


def build_card(
    config: TrainingConfig,
    spec: BackboneSpec,
    input_px: tuple[int, int],
    version: str,
    backbone_sha256: str,
    parts: dict[str, Cohort],
    scored: dict[str, Scores],
    reproduce: str,
) -> ModelCard:
    """The card of a version, its weights' hash still to be filled in; `parts` are the accepted studies of each split.

    Metrics are of the test split; where there is none, of validation, and the limitations say so.
    """
    frozen = fit_frozen(parts["validation"], scored["validation"])
    points = better_than_chance(parts["validation"], scored["validation"], frozen.operating_points)
    tested = "test" if len(parts["test"]) else "validation"
    cohort = parts[tested]
    metrics = card_metrics(cohort.labels(), scored[tested].logits, finding_keys(), frozen.calibration, points, cohort.patients)
    learned = {key for key, assessed in zip(finding_keys(), np.isfinite(parts["train"].labels()).any(0), strict=True) if assessed}
    metrics = {key: metric for key, metric in metrics.items() if key in learned}
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
        limitations=_limitations(config, parts, len(points), tested, demo),
        licence=spec.licence,
        weights_sha256="0" * 64,
        backbone_sha256=backbone_sha256,
        hyperparameters=hyperparameters(config, input_px),
        findings=list(finding_keys()),
        calibration=dict(frozen.calibration),
        operating_points=points,
        cohort={f"{split}_{what}": count for split, part in parts.items() for what, count in _counts(part).items()},
        metrics=metrics,
        mean_auc=mean_auc([metric.auc for metric in metrics.values()]),
        reproduce=reproduce,
    )


def better_than_chance(validation: Cohort, scores: Scores, points: Mapping[str, float]) -> dict[str, float]:
    """The operating points of findings whose AUC on validation is above 0.5 with its whole 95 % interval; no call is made of the others."""
    truth, codes = validation.labels(), patient_codes(validation.patients)
    columns = {key: column for column, key in enumerate(finding_keys())}
    lows = {key: auc_estimate(truth[:, columns[key]], scores.logits[:, columns[key]], codes).low for key in points}
    return {key: point for key, point in points.items() if (lows[key] or 0.0) > 0.5}


def _limitations(config: TrainingConfig, parts: dict[str, Cohort], judged: int, tested: str, demo: bool) -> list[str]:
    total = len(finding_keys())
    found = []
    if demo:
        found.append(
            "Trained on synthetic phantoms: on a patient's scan its probabilities mean nothing. It exists to show and test the software."
        )
    if judged < total:
        found.append(
            f"{total - judged} of the {total} findings had too few labelled studies, or could not be told from chance on validation: "
            "they are marked not estimable."
        )
    if config.features == "images" and config.augmentation.enabled and config.augmentation.mirror_share > 0:
        found.append("Mirrored studies are used in training: side is not assessed.")
    if tested == "validation":
        found.append("There was no test split: the metrics are of the validation studies that also chose the epoch, and flatter the model.")
    return found


def _counts(part: Cohort) -> dict[str, int]:
    return {"studies": len(part), "patients": len(set(part.patients))}
