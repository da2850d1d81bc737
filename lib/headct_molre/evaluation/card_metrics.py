"""The metrics of a model card, from held-out studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..findings import finding_keys
from ..schema import Calibration, FindingMetrics
from .auc import auc_estimate, patient_codes
from .calibration import probabilities_of
from .precision import average_precision
from .proportions import at_operating_point


def card_metrics(
    truth: np.ndarray,
    logits: np.ndarray,
    keys: Sequence[str] | None = None,
    calibration: Mapping[str, Calibration] | None = None,
    operating_points: Mapping[str, float] | None = None,
    patients: np.ndarray | None = None,
) -> dict[str, FindingMetrics]:
    """Metrics of each finding that any study was assessed for.

    Truth of 1, 0 and NaN and raw logits are (N, F) in the order of `keys`, the taxonomy's if not given. Sensitivity and specificity are
    those at the operating points on calibrated probabilities. `patients` (N,) names each study's patient where one may have several.
    """
    keys = finding_keys() if keys is None else keys
    codes = None if patients is None else patient_codes(patients)
    probabilities = probabilities_of(logits, keys, calibration or {})
    metrics = {}
    for column, key in enumerate(keys):
        labels, logit = truth[:, column], logits[:, column]
        positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
        if positives + negatives == 0:
            continue
        auc = auc_estimate(labels, logit, codes)
        operating = at_operating_point(labels, probabilities[:, column], (operating_points or {}).get(key))
        metrics[key] = FindingMetrics(
            positives=positives,
            negatives=negatives,
            auc=auc.value,
            auc_low=auc.low,
            auc_high=auc.high,
            average_precision=average_precision(labels, logit).value,
            sensitivity=operating.sensitivity.value,
            specificity=operating.specificity.value,
        )
    return metrics
