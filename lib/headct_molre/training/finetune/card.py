"""The model card of a version that was fine-tuned from corrections."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...evaluation.auc import mean_auc
from ...evaluation.card_metrics import card_metrics
from ...findings import finding_keys
from ...schema import Calibration, ModelCard
from .config import FineTuneConfig

Setting = float | int | str | bool | None


def tuned_card(
    base: ModelCard,
    version: str,
    created: str,
    config: FineTuneConfig,
    strength: float,
    counts: Mapping[str, int],
    frozen: tuple[dict[str, Calibration], dict[str, float]],
    held_out: tuple[np.ndarray, np.ndarray, np.ndarray],
    adapters: Mapping[str, Setting],
) -> ModelCard:
    """The card, with the hash of the weights still to be filled in.

    `held_out` are truth (N, 75), raw logits (N, 75) and patients (N,) of the corrections that the gate judges by: the metrics are
    of these, and there are none where there are no such corrections. `adapters` are settings that differ from the released version's.
    """
    calibration, points = frozen
    truth, logits, patients = held_out
    metrics = card_metrics(truth, logits, finding_keys(), calibration, points, patients) if len(truth) else {}
    settings = {f"finetune_{name}": _flat(value) for name, value in config.model_dump(mode="json").items()}
    return base.model_copy(
        update={
            "version": version,
            "adapter": " + ".join(["LoRA", base.adapter]) if adapters.get("lora") else base.adapter,
            "created": created,
            "description": f"{base.name} {base.version} fine-tuned on {counts['trained']} corrected studies, {config.mode} mode.",
            "limitations": [*base.limitations, *_limitations(config, counts)],
            "weights_sha256": "0" * 64,
            "hyperparameters": {**base.hyperparameters, **adapters, **settings, "finetune_strength": strength},
            "calibration": calibration,
            "operating_points": points,
            "cohort": {**base.cohort, **{f"correction_{name}": count for name, count in counts.items()}},
            "metrics": metrics,
            "mean_auc": mean_auc([metric.auc for metric in metrics.values()]),
            "reproduce": f"headct-molre finetune --model {base.name}, settings as in hyperparameters, on the same store",
            "parent": base.version,
            "gate_report": None,
            "source_sha256": None,
        }
    )


def _flat(value: object) -> Setting:
    """A setting as a card holds it; a list is written as text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value  # type: ignore[return-value]


def _limitations(config: FineTuneConfig, counts: Mapping[str, int]) -> list[str]:
    found = [
        f"The metrics are of {counts['held_out']} held-out corrections of one site, and cannot be compared with those of "
        "the version that it was tuned from, which are of other studies."
        if counts["held_out"]
        else "No correction was held out, so that nothing was measured: the metrics are empty."
    ]
    if not counts["source"]:
        found.append("The released version brings no source set: whether the tuned one lost something elsewhere was not tested.")
    elif config.mode == "full":
        found.append("The backbone was tuned too, so that the stored features of the source set could not show whether it lost something.")
    return found
