"""Documents as the server sends them, made from a seed: no patient behind them, and as large as those of a real head."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

FINDINGS_FILE = Path(__file__).parents[2] / "lib" / "headct_molre" / "findings.csv"


def findings_document() -> list[dict[str, Any]]:
    """The answer of `/headct/findings`, from the taxonomy itself."""
    with FINDINGS_FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update(
            synonyms=[part for part in row["synonyms"].split("|") if part],
            hu_windows=[part for part in row["hu_windows"].split("|") if part],
            laterality=row["laterality"] == "yes",
        )
    return rows  # type: ignore[return-value]


def prediction_document(
    seed: int = 0, slices: int = 38, experts: int = 6, level: str | None = "slice", demo: bool = True, version: str = "2.0"
) -> dict[str, Any]:
    """A Prediction: probability = sigmoid(logit), logit = bias + sum of evidence, and a third of the findings not estimable.

    Subdural hematoma is well above its threshold with its evidence about slice 20, epidural hematoma below, lipoma not estimable.
    """
    draw = np.random.default_rng(seed)
    keys = [finding["key"] for finding in findings_document()]
    evidence = draw.normal(0, 0.05, (len(keys), slices))
    place = np.exp(-0.5 * ((np.arange(slices) - min(20, slices - 1)) / 2) ** 2)
    evidence[keys.index("subdural_hematoma")] += place
    evidence[keys.index("epidural_hematoma")] -= place
    bias = draw.normal(-2.0, 1.0, len(keys))
    bias[keys.index("subdural_hematoma")], bias[keys.index("epidural_hematoma")] = 0.0, -0.5
    estimable = draw.random(len(keys)) > 1 / 3
    estimable[[keys.index("subdural_hematoma"), keys.index("epidural_hematoma")]] = True
    estimable[keys.index("intracranial_lipoma")] = False
    logits = bias + evidence.sum(1)
    router = draw.dirichlet(np.full(experts, 0.3), 1 if level == "volume" else slices) if experts else np.zeros((slices, 0))
    router = np.broadcast_to(router, (slices, experts))
    attention = draw.dirichlet(np.full(slices, 2.0))
    return {
        "schema": "headct.prediction/1",
        "study": f"phantom-{seed:04d}",
        "model": {"name": "demo", "version": version, "backbone": "demo", "adapter": "MoLRE", "demo": demo, "weights_sha256": "0" * 64},
        "device": "cpu",
        "engine": "torch-fp32",
        "findings": [_result(key, logits[row], bias[row], bool(estimable[row])) for row, key in enumerate(keys)],
        "router_level": level,
        "slices": [
            {"index": index, "center_ras": [0.0, 0.0, 4.0 * index], "attention": float(attention[index]), "router": router[index].tolist()}
            for index in range(slices)
        ],
        "evidence": evidence.tolist(),
        "frame": {
            "model_to_ras": [[0, 0, -1, 128], [0, -1, 0, 128], [4, 0, 0, 0], [0, 0, 0, 1]],
            "shape": [slices, 256, 256],
            "spacing_mm": [4.0, 1.0, 1.0],
        },
        "quality": {"accepted": True, "warnings": [], "facts": {}},
        "timing_ms": {"total": 1.0},
    }


def _result(key: str, logit: float, bias: float, estimable: bool) -> dict[str, Any]:
    probability, point = float(1 / (1 + np.exp(-logit))), 0.4
    return {
        "key": key,
        "probability": probability if estimable else 0.5,
        "logit": float(logit) if estimable else 0.0,
        "bias": float(bias),
        "operating_point": point if estimable else None,
        "positive": probability >= point if estimable else None,
        "estimable": estimable,
    }


def submission_document(
    reader: str, findings: dict[str, str], comment: str = "", received: str = "2026-08-01T10:00:00+00:00"
) -> dict[str, Any]:
    """One record of `GET /headct/studies/{id}/submissions`."""
    return {
        "submission": {
            "schema": "headct.submission/1",
            "submission_id": "00000000-0000-4000-8000-000000000000",
            "study": "phantom-0000",
            "reader": reader,
            "model": {"name": "demo", "version": "2.0"},
            "findings": findings,
            "comment": comment,
            "seconds_spent": 12.0,
            "client": "test",
        },
        "received_at": received,
        "shown_probabilities": dict.fromkeys(findings, 0.25),
    }
