"""What the runs of active_learning.py say: AUC after each round, labels to reach random's end, and the arms without anchor or replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from active_learning_loop import Released, State

from headct_molre.evaluation.auc import finding_auc
from headct_molre.findings import finding_keys
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.training.finetune import Examples

# A finding that fewer of the shifted site's studies show is of the tail.
TAIL_PREVALENCE = 0.05


@dataclass(frozen=True)
class Measure:
    """Test studies of both sites, and how often the shifted site's pool shows each finding (F,), NaN where nothing is known."""

    target: Examples
    source: Examples
    prevalence: np.ndarray

    @property
    def tail(self) -> np.ndarray:
        """The findings (F,) that the pool shows rarely."""
        return self.prevalence < TAIL_PREVALENCE

    def aucs(self, released: Released, state: State | None) -> dict[str, float]:
        """Mean AUC over the findings with enough cases at the shifted site, over its tail, and over the findings at the source."""
        classifier = released.tuned(state)
        target, source = (by_finding(classifier_logits(classifier, test), test) for test in (self.target, self.source))
        return {"target": mean(target), "tail": mean(target[self.tail]), "source": mean(source)}

    def findings(self, released: Released) -> list[dict[str, Any]]:
        """The findings that are measured, with their share in the pool, positives in the test, and the released version's AUC."""
        aucs = by_finding(classifier_logits(released.classifier, self.target), self.target)
        positives = (self.target.labels == 1).sum(0).tolist()
        return [
            {
                "key": key,
                "prevalence": round(float(self.prevalence[f]), 4),
                "test_positives": positives[f],
                "released_auc": round(aucs[f], 4),
            }
            for f, key in enumerate(finding_keys())
            if np.isfinite(aucs[f])
        ]


def classifier_logits(classifier: HeadCTClassifier, studies: Examples) -> np.ndarray:
    """Logits (N, F) of studies."""
    with torch.inference_mode():
        return np.asarray(classifier.logits(studies.features.float(), studies.mask).double().numpy())


def by_finding(logits: np.ndarray, studies: Examples) -> np.ndarray:
    """AUC of each finding (F,), NaN where there are too few cases."""
    truth = studies.labels.numpy()
    found = [finding_auc(truth[:, f], logits[:, f]) for f in range(truth.shape[1])]
    return np.array([np.nan if auc is None else auc for auc in found])


def mean(aucs: np.ndarray) -> float:
    """Mean over the findings that have an AUC."""
    return float(np.nanmean(aucs))


def labels_to_reach(corrections: Sequence[int], aucs: Sequence[float], goal: float) -> float | None:
    """Corrections at which a curve first reaches a goal, straight between the rounds; None where it does not."""
    for (before, low), (after, high) in pairwise(zip(corrections, aucs, strict=True)):
        if high >= goal:
            return before if low >= goal else before + (after - before) * (goal - low) / (high - low)
    return None


def summary(curves: dict[str, list[dict[str, list[float]]]], corrections: list[int]) -> dict[str, Any]:
    """For each strategy, from its curve of each seed: means over seeds, the area under the mean curve, and labels to reach random's end.

    A curve holds "target", "tail" and "source", each with a value for every entry of `corrections`.
    """
    averaged = {name: {what: np.mean([seed[what] for seed in seeds], 0) for what in seeds[0]} for name, seeds in curves.items()}
    goal = float(averaged["random"]["target"][-1])
    result: dict[str, Any] = {}
    for name, seeds in curves.items():
        one = averaged[name]
        ends = [np.array([seed[what][-1] for seed in seeds]) for what in ("target", "tail", "source")]
        over_random = ends[0] - np.array([seed["target"][-1] for seed in curves["random"]])
        needed = labels_to_reach(corrections, one["target"].tolist(), goal)
        result[name] = {
            "mean": {what: rounded(values) for what, values in one.items()},
            "gain": round(float((one["target"] - one["target"][0])[-1]), 4),
            "tail_gain": round(float((one["tail"] - one["tail"][0])[-1]), 4),
            "source_change": round(float((one["source"] - one["source"][0])[-1]), 4),
            "sd_at_end": round(float(ends[0].std(ddof=1)), 4) if len(seeds) > 1 else None,
            "over_random": round(float(over_random.mean()), 4),
            "over_random_by_seed": rounded(over_random),
            "area": round(float(np.trapezoid(one["target"], corrections) / corrections[-1]), 4),
            "labels_to_reach_random": None if needed is None else round(needed, 1),
            "labels_to_reach_random_by_seed": [labels_to_reach(corrections, seed["target"], goal) for seed in seeds],
        }
    return {"goal": round(goal, 4), "strategies": result}


def rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    """To four digits."""
    return [round(float(value), 4) for value in values]


def markdown(document: dict[str, Any]) -> str:
    """The tables of a document."""
    last = document["corrections"][-1]
    base = document["released"]
    lines = [
        f"Released version: shifted site {base['target']:.3f}, its tail {base['tail']:.3f}, source {base['source']:.3f}. "
        f"Means of seeds {', '.join(map(str, document['seeds']))} after {last} corrections:",
        "",
        f"| strategy | shifted site | gain | over random | tail | source change | area | labels to reach random's {last} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in document["strategies"].items():
        needed = one["labels_to_reach_random"]
        reached = "not reached" if needed is None else f"{needed:.0f} ({needed / last:.0%})".replace("%", " %")
        cells = (
            f"`{name}`",
            f"{one['mean']['target'][-1]:.3f}",
            f"{one['gain']:+.3f}",
            f"{one['over_random']:+.3f}",
            f"{one['mean']['tail'][-1]:.3f}",
            f"{one['source_change']:+.3f}",
            f"{one['area']:.3f}",
            reached,
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"| tuned on {last} corrections | shifted site | tail | source |", "| --- | ---: | ---: | ---: |"]
    lines.append(f"| nothing: as released | {base['target']:.3f} | {base['tail']:.3f} | {base['source']:.3f} |")
    for arm in document["arms"]:
        lines.append(f"| {arm['title']} | {arm['target']:.3f} | {arm['tail']:.3f} | {arm['source']:.3f} |")
    return "\n".join(lines) + "\n"
