"""How far calibrated probabilities are from what happens: expected calibration error, Brier score, reliability curve."""

from __future__ import annotations

import itertools

import numpy as np
from pydantic import FiniteFloat
from scipy.special import ndtr

from ..schema import Contract
from .cases import MINIMUM_CASES, cases_of
from .estimate import Estimate, NotEstimable
from .proportions import wilson

BINS = 10


class ReliabilityBin(Contract):
    """Studies of like probability: how many, their mean probability, and the share of positives with its interval."""

    studies: int
    predicted: FiniteFloat
    observed: Estimate


class CalibrationResult(Contract):
    """Calibration of one finding; every number is null with a reason where there is no frozen calibration or too few cases."""

    ece: Estimate
    ece_debiased: Estimate
    brier: Estimate
    brier_skill: Estimate
    expected_to_observed: Estimate
    reliability: list[ReliabilityBin]


def calibration_of(truth: np.ndarray, probability: np.ndarray, minimum: int = MINIMUM_CASES, bins: int = BINS) -> CalibrationResult:
    """Calibration of one finding; `truth` (N,) of 1, 0 and NaN, `probability` (N,).

    `ece` is the mean over bins of equal mass of |mean probability - share of positives|. Chance alone makes it positive: `ece_debiased`
    takes off what a bin's sampling error adds to an absolute value of the measured size, down to 0 (the plug-in estimate of Kumar,
    Liang and Ma, NeurIPS 2019): about half of what chance makes of a perfect calibration, and nothing of a large error.
    `brier` is the mean squared error, `brier_skill` its share below that of always saying the prevalence.
    """
    cases = cases_of(truth, probability, minimum=minimum)
    if isinstance(cases, NotEstimable):
        return no_calibration(cases.reason)
    p, y = cases.scores[:, 0], cases.positive.astype(np.float64)
    curve = reliability_curve(p, y, bins)
    share = np.array([one.studies for one in curve]) / len(y)
    predicted = np.array([one.predicted for one in curve])
    gap = np.abs(predicted - [one.observed.value for one in curve])
    error = np.sqrt(predicted * (1 - predicted) / (share * len(y)))
    brier, prevalence = float(((p - y) ** 2).mean()), float(y.mean())
    return CalibrationResult(
        ece=Estimate(value=float((share * gap).sum())),
        ece_debiased=Estimate(value=max(0.0, float((share * (2 * gap - _mean_absolute(gap, error))).sum()))),
        brier=Estimate(value=brier),
        brier_skill=Estimate(value=1 - brier / (prevalence * (1 - prevalence))),
        expected_to_observed=Estimate(value=float(p.mean() / prevalence)),
        reliability=curve,
    )


def no_calibration(reason: str) -> CalibrationResult:
    """Nothing but the reason."""
    none = Estimate(value=None, reason=reason)
    return CalibrationResult(ece=none, ece_debiased=none, brier=none, brier_skill=none, expected_to_observed=none, reliability=[])


def reliability_curve(probability: np.ndarray, outcome: np.ndarray, bins: int = BINS) -> list[ReliabilityBin]:
    """Bins of equal mass by rising probability (n,) with the share of positives among `outcome` (n,); equal probabilities stay together."""
    order = np.argsort(probability, kind="stable")
    p, y = probability[order], outcome[order]
    wanted = np.linspace(0, len(p), bins + 1).round().astype(int)[1:-1]
    before, after = (np.searchsorted(p, p[wanted], side) for side in ("left", "right"))
    edges = np.unique(np.r_[0, np.where(wanted - before <= after - wanted, before, after), len(p)])
    return [
        ReliabilityBin(studies=end - start, predicted=float(p[start:end].mean()), observed=wilson(int(y[start:end].sum()), end - start))
        for start, end in itertools.pairwise(edges.tolist())
    ]


def _mean_absolute(centre: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Mean of |X| for normal X: what an absolute gap of `centre` reads on average when it is measured with this error."""
    safe = np.maximum(deviation, 1e-12)
    ratio = centre / safe
    return np.asarray(safe * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + centre * (1 - 2 * ndtr(-ratio)))
