"""The loop of active_learning.py: choose studies, have them read, tune the released version, choose by what it says now."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from headct_molre.errors import ModelUnavailable
from headct_molre.evaluation.calibration import calibrated_logits
from headct_molre.findings import finding_keys
from headct_molre.models.checkpoint import champion_folder, load_classifier
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.output import write_whole
from headct_molre.schema import ModelCard
from headct_molre.selection import STRATEGIES, LinearHead, Pool, Votes, select
from headct_molre.training.finetune import Examples, FineTuneConfig, choose_strength, fit
from headct_molre.training.source_set import read_source_set

RUN = "run.json"
State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Plan:
    """Rounds of so many corrections, a reader's share of wrong calls, and how the released version is tuned on them.

    `strength` is the anchor's; None lets the product choose it by cross-validation, every time.
    """

    rounds: int = 8
    batch: int = 25
    reader_error: float = 0.02
    strength: float | None = 2.0
    config: FineTuneConfig = field(default_factory=FineTuneConfig)


@dataclass(frozen=True)
class Released:
    """The version that every tuning restarts from, its card, and studies that it was trained on."""

    classifier: HeadCTClassifier
    card: ModelCard
    replay: Examples

    def tuned(self, state: State | None) -> HeadCTClassifier:
        """A copy with a tuned state; without one, as released."""
        classifier = copy.deepcopy(self.classifier)
        classifier.load_state_dict({**classifier.state_dict(), **(state or {})})
        return classifier.eval()


def released_version(model: str) -> Released:
    """The served version of a model, which has to bring its source set along. Raises ModelUnavailable."""
    classifier, card, _ = load_classifier(model)
    source = read_source_set(champion_folder(model), card)
    if source is None:
        raise ModelUnavailable("no_source_set", f"{model} {card.version} has no source set to replay.", field="model")
    return Released(classifier, card, source.examples(source.rows("train")))


def read_by(truth: np.ndarray, error: float, rng: np.random.Generator) -> np.ndarray:
    """A reader's calls (N, F): the truth of 1 and 0, each wrong with the chance `error`; what is not known (NaN) stays unknown."""
    return np.where(rng.random(truth.shape) < error, 1 - truth, truth)


def simulate(released: Released, pool: Examples, strategy: str, seed: int, plan: Plan, folder: Path) -> None:
    """All rounds of one strategy; leaves the state after each round, and last `run.json` with the rows as they were read.

    The reader's errors depend on the seed alone, so that a study is read alike whichever strategy offers it.
    """
    truth = pool.labels.numpy()
    calls = read_by(truth, plan.reader_error, np.random.default_rng([seed, 1]))
    earlier = [read_by(truth, plan.reader_error, np.random.default_rng([seed, 2, reader])) for reader in range(2)]
    rng = np.random.default_rng([seed, 3])
    folder.mkdir(parents=True, exist_ok=True)
    read: list[int] = []
    by_chance, strengths = 0, []
    classifier = released.classifier
    for number in range(1, plan.rounds + 1):
        rest = np.setdiff1d(np.arange(len(pool)), read)
        positives = (calls[read] == 1).sum(0)
        offered = select(
            strategy, offer(classifier, released.card, pool.take(rest), positives, [one[rest] for one in earlier]), plan.batch, rng
        )
        read += [int(rest[one.row]) for one in offered]
        by_chance += sum(one.random for one in offered)
        corrections = pool.take(read).labelled(torch.from_numpy(calls[read]))
        state, strength = tune(released, corrections, plan, seed)
        strengths.append(strength)
        save_file(state, folder / f"{number * plan.batch}.safetensors")
        classifier = released.tuned(state)
    positives = [(calls[read[: plan.batch * number]] == 1).sum(0).tolist() for number in range(plan.rounds + 1)]
    run = {"strategy": strategy, "seed": seed, "read": read, "random": by_chance, "positives": positives, "strengths": strengths}
    write_whole(folder / RUN, json.dumps(run).encode())


def tune(released: Released, corrections: Examples, plan: Plan, seed: int) -> tuple[State, float]:
    """The state that the corrections make of the released version, and the anchor's strength."""
    config = plan.config.model_copy(update={"seed": seed})
    replay = released.replay if config.replay_weight > 0 else None
    strength = plan.strength
    if strength is None:
        strength = choose_strength(released.classifier, corrections, replay, np.arange(len(corrections)), config).strength
    return fit(released.classifier, corrections, replay, config, strength=strength).state, strength


def offer(classifier: HeadCTClassifier, card: ModelCard, studies: Examples, positives: np.ndarray, earlier: list[np.ndarray]) -> Pool:
    """What the strategies know of unread studies: calibrated probabilities, pooled features, the head, and earlier readers' calls."""
    features = pooled(classifier, studies)
    keys = finding_keys()
    weight, bias = (tensor.detach().numpy() for tensor in (classifier.head.weight, classifier.head.bias))
    shift = calibrated_logits(np.zeros((1, len(keys))), keys, card.calibration)[0]
    slope = calibrated_logits(np.ones((1, len(keys))), keys, card.calibration)[0] - shift
    head = LinearHead((weight * slope[:, None]).astype(np.float32), (bias * slope + shift).astype(np.float32))
    probabilities = 1 / (1 + np.exp(-np.clip(head(features), -30, 30)))
    estimable = np.array([key in card.operating_points for key in keys])
    return Pool(probabilities.astype(np.float32), estimable, positives, features, head, votes_of(earlier))


def pooled(classifier: HeadCTClassifier, studies: Examples) -> np.ndarray:
    """The feature (N, d) of each study that the head reads."""
    assert classifier.molre is not None
    assert classifier.pooling is not None
    with torch.inference_mode():
        adapted, _ = classifier.molre(studies.features.float())
        attention = classifier.pooling(adapted, studies.mask)
        return np.asarray(torch.einsum("bs,bsd->bd", attention, adapted).numpy())


def votes_of(readers: list[np.ndarray]) -> Votes:
    """The calls (N, F) of some readers, 1 and 0, as votes."""
    known = [np.nonzero(~np.isnan(calls)) for calls in readers]
    states = [calls[where].astype(int) for calls, where in zip(readers, known, strict=True)]
    return Votes(np.concatenate([rows for rows, _ in known]), np.concatenate([columns for _, columns in known]), np.concatenate(states))


def finished(folder: Path) -> dict | None:
    """The record of a run that is complete, or None."""
    path = folder / RUN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def state_after(folder: Path, corrections: int) -> State:
    """The state of a finished run after so many corrections."""
    return load_file(folder / f"{corrections}.safetensors")


def strategies() -> tuple[str, ...]:
    """All strategies, the random one first, as the others are compared with it."""
    return ("random", *(name for name in STRATEGIES if name != "random"))
