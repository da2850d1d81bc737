"""Calibration and operating points that were fixed before the studies under evaluation were looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..data.cohort import Cohort
from ..errors import InvalidRequest
from ..findings import finding_keys
from ..schema import Calibration, ModelCard
from .calibration import fit_calibration, probabilities_of
from .operating_points import fit_operating_points, parse_rule
from .scores import Scores


@dataclass(frozen=True)
class Frozen:
    """What turns a raw logit into a probability and a probability into a call, by finding, and where it comes from."""

    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    operating_points: Mapping[str, float] = field(default_factory=dict)
    origin: str = "none"


def frozen_of_card(card: ModelCard) -> Frozen:
    """What the model version was released with."""
    return Frozen(card.calibration, card.operating_points, f"model card of {card.name} {card.version}")


def fit_frozen(validation: Cohort, scores: Scores, rule: str = "youden") -> Frozen:
    """Calibration, and operating points on the calibrated probabilities, from validation studies.

    Raises InvalidRequest where there is no study, a study has no scores, or the rule is unknown.
    """
    chosen = parse_rule(rule)
    if not len(validation):
        raise InvalidRequest("no_validation", "The manifest has no studies of the split 'validation' to calibrate on.", field="split")
    truth = validation.labels()
    logits = scores.of(tuple(study.study for study in validation.studies)).logits
    calibration = fit_calibration(truth, logits, finding_keys())
    points = fit_operating_points(truth, probabilities_of(logits, finding_keys(), calibration), finding_keys(), chosen)
    return Frozen(calibration, points, f"{len(validation)} validation studies, points by {chosen}")
