"""How strongly a fine-tune is held to the released version: chosen by how well corrections are told that a fit did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...models.classifier import HeadCTClassifier
from ..examples import Examples
from ..losses import MaskedFocalLoss, prevalence_weights
from .config import FineTuneConfig
from .fit import Step, Watch, fit


@dataclass(frozen=True)
class Choice:
    """The prior strength that was chosen, the mean loss of corrections outside of each fit under every strength, the weakest first, and
    their logits (N, F) under the chosen one.
    """

    strength: float
    losses: dict[float, float]
    out_of_fold: np.ndarray


def choose_strength(
    classifier: HeadCTClassifier,
    corrections: Examples,
    replay: Examples | None,
    patients: np.ndarray,
    config: FineTuneConfig,
    watch: Watch | None = None,
) -> Choice:
    """Cross-validation over the patients (N,) of the corrections; among strengths that are no worse than the best by more than one standard
    error of their difference, the strongest: what is not shown to help is not done.
    """
    folds = folds_of(patients, config.folds, config.seed)
    strengths = config.strengths
    logits = np.zeros((len(strengths), *corrections.labels.shape))
    fits = len(strengths) * config.folds
    for number, (place, fold) in enumerate((place, fold) for place in range(len(strengths)) for fold in range(config.folds)):
        told = _told(watch, number, fits)
        seen, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if not len(seen) or not len(unseen):
            continue
        fitted = fit(classifier, corrections.take(seen), replay, config, strength=strengths[place], epochs=config.choice_epochs, watch=told)
        logits[place, unseen] = fitted.logits(classifier, corrections.take(unseen))
    losses = np.stack([_study_losses(one, corrections, config) for one in logits])
    place = _strongest_good(losses, patients)
    return Choice(strengths[place], dict(zip(strengths, losses.mean(1).tolist(), strict=True)), logits[place])


def folds_of(patients: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each study (N,), all of a patient in one, as even in patients as can be."""
    names, codes = np.unique(patients, return_inverse=True)
    places = np.random.default_rng([seed, 11]).permutation(len(names))
    return np.asarray(places[codes] % folds)


def _strongest_good(losses: np.ndarray, patients: np.ndarray) -> int:
    """From the loss of each study (N,) under each strength, the row of the strongest that is as good as the best."""
    best = int(losses.mean(1).argmin())
    codes = np.unique(patients, return_inverse=True)[1]
    for row in range(len(losses) - 1, best, -1):
        more = losses[row] - losses[best]
        by_patient = np.bincount(codes, weights=more - more.mean())
        if more.mean() <= np.sqrt((by_patient**2).sum()) / len(more):
            return row
    return best


def _study_losses(logits: np.ndarray, corrections: Examples, config: FineTuneConfig) -> np.ndarray:
    """Each study's (N,) loss as it is trained on, so that the mean over studies is the mean over their labels."""
    focal = MaskedFocalLoss(prevalence_weights(corrections.labels, config.positive_weight_limit), config.focal_gamma)
    known = (~corrections.labels.isnan()).sum().clamp(min=1)
    one_by_one = [
        focal.total(torch.from_numpy(row[None]).float(), label[None]) for row, label in zip(logits, corrections.labels, strict=True)
    ]
    return np.asarray(torch.stack(one_by_one).numpy() * len(corrections) / float(known), np.float64)


def _told(watch: Watch | None, number: int, fits: int) -> Watch | None:
    if watch is None:
        return None
    return lambda step: watch(Step(number + 1, fits, step.epoch, step.epochs, step.loss, (number + step.share) / fits))
