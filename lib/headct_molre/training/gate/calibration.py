"""Whether the candidate's probabilities mean what they say as well as the champion's do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...evaluation.calibration import probabilities_of
from ...evaluation.cases import cases_of
from ...evaluation.estimate import NotEstimable
from ...evaluation.reliability import calibration_of
from ...findings import finding_keys
from ...schema import Calibration
from .document import CalibrationJudgement, CalibrationMeasure
from .held_out import HeldOut
from .policy import GatePolicy


def judge_calibration(
    held: HeldOut, champion: Mapping[str, Calibration], candidate: Mapping[str, Calibration], policy: GatePolicy
) -> CalibrationJudgement:
    """Means over the findings that can be judged and are calibrated in both versions: ECE (debiased), Brier score, and calibration in the
    large, the distance of the mean probability from the share of positives.
    """
    keys = finding_keys()
    before, after = probabilities_of(held.champion, keys, champion), probabilities_of(held.candidate, keys, candidate)
    rows = []
    for column, key in enumerate(keys):
        if key not in champion or key not in candidate:
            continue
        truth = held.truth[:, column]
        if isinstance(cases_of(truth, before[:, column], after[:, column], minimum=policy.minimum_cases), NotEstimable):
            continue
        rows.append([_measures(truth, probability[:, column], policy.minimum_cases) for probability in (before, after)])
    if not rows:
        return CalibrationJudgement(findings=0, measures=[], reason="no finding that can be judged is calibrated in both versions")
    means = np.mean(rows, axis=0)
    names = {"ECE": policy.margin_ece, "Brier score": policy.margin_brier, "calibration in the large": policy.margin_in_the_large}
    return CalibrationJudgement(
        findings=len(rows),
        measures=[
            CalibrationMeasure(
                name=name,
                champion=means[0, number],
                candidate=means[1, number],
                margin=margin,
                worse=bool(means[1, number] > means[0, number] + margin),
            )
            for number, (name, margin) in enumerate(names.items())
        ],
    )


def _measures(truth: np.ndarray, probability: np.ndarray, minimum: int) -> tuple[float, float, float]:
    result = calibration_of(truth, probability, minimum)
    known = ~np.isnan(truth)
    in_the_large = abs(float(probability[known].mean() - truth[known].mean()))
    return result.ece_debiased.value or 0.0, result.brier.value or 0.0, in_the_large
