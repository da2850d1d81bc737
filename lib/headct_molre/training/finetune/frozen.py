"""Calibration and operating points of a tuned version, fitted anew: a tuned logit no longer means what the released one did.

The released version's Platt scaling belongs to its logits. Fitted anew on the validation studies of the source set and on those
corrections that were offered at random and are learned from, these with logits of cross-validation, by fits that did not see them: both are
unbiased samples, one of where the model comes from, one of where it is used. Corrections that a strategy picked are richer in findings
than the studies that will be read, and would raise every probability. The held-out corrections are the gate's alone.
Of a finding that the released version makes a call of, the tuned one makes one, too: where the data are too few to choose a point anew,
or there are none, what the released version has is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...evaluation.auc import auc_estimate, patient_codes
from ...evaluation.calibration import fit_calibration, probabilities_of
from ...evaluation.operating_points import fit_operating_points
from ...findings import finding_keys
from ...schema import Calibration, ModelCard


@dataclass(frozen=True)
class Evidence:
    """Studies to calibrate on: truth (N, 75) of 1, 0 and NaN, raw logits (N, 75) of the tuned version, patients (N,)."""

    truth: np.ndarray
    logits: np.ndarray
    patients: np.ndarray


def tuned_frozen(base: ModelCard, evidence: Evidence) -> tuple[dict[str, Calibration], dict[str, float]]:
    """Calibration and operating points of the tuned version, on the calibrated probabilities.

    A finding without a point in the released version gets one only where its AUC is above 0.5 with its whole interval.
    """
    keys = finding_keys()
    if not len(evidence.truth):
        return dict(base.calibration), dict(base.operating_points)
    fitted = fit_calibration(evidence.truth, evidence.logits, keys)
    calibration = {key: scale for key in keys if (scale := fitted.get(key) or base.calibration.get(key)) is not None}
    points = fit_operating_points(evidence.truth, probabilities_of(evidence.logits, keys, calibration), keys)
    codes = patient_codes(evidence.patients)
    chosen = {}
    for column, key in enumerate(keys):
        low = None
        if key in points and key not in base.operating_points:
            low = auc_estimate(evidence.truth[:, column], evidence.logits[:, column], codes).low
        if key in base.operating_points or (low or 0.0) > 0.5:
            chosen[key] = points.get(key, base.operating_points.get(key, 0.5))
    return calibration, chosen
