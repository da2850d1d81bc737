"""How strongly a fine-tune is held to the released version: chosen by how well corrections are told that a fit did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...models.classifier import HeadCTClassifier
from ..examples import Examples
from ..losses import MaskedFocalLoss, prevalence_weights
from ..source_set import drawn
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
    """Cross-validation over the patients (N,) of the corrections: the strength with the least loss outside of the fits, of equals the
    stronger. The corrections that are held out for the gate are not among these. No more studies are replayed than there are corrections,
    at the same weight in sum: that is what makes the choice cheap.
    """
    if replay is not None and len(replay) > len(corrections):
        replay = replay.take(drawn(len(replay), config.seed, len(corrections)))
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
    losses = [_loss(one, corrections, config) for one in logits]
    place = min(range(len(strengths)), key=lambda place: (losses[place], -strengths[place]))
    return Choice(strengths[place], dict(zip(strengths, losses, strict=True)), logits[place])


def folds_of(patients: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each study (N,), all of a patient in one, as even in patients as can be."""
    names, codes = np.unique(patients, return_inverse=True)
    places = np.random.default_rng([seed, 11]).permutation(len(names))
    return np.asarray(places[codes] % folds)


def _loss(logits: np.ndarray, corrections: Examples, config: FineTuneConfig) -> float:
    """The loss as it is trained on."""
    focal = MaskedFocalLoss(prevalence_weights(corrections.labels, config.positive_weight_limit), config.focal_gamma)
    return float(focal(torch.from_numpy(logits).float(), corrections.labels))


def _told(watch: Watch | None, number: int, fits: int) -> Watch | None:
    if watch is None:
        return None
    return lambda step: watch(Step(number + 1, fits, step.epoch, step.epochs, step.loss, (number + step.share) / fits))
