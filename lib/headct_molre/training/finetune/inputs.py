"""Everything that a fine-tune works on, gathered before it starts: the same inputs give the same version, and its name says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...errors import InvalidRequest
from ...findings import finding_keys
from ...schema import ModelCard
from ..examples import Examples
from ..source_set import SourceSet, drawn, read_source_set
from .corrections import Correction, label_array
from .split import Split, check_trainable
from .study_features import Found, StudyFeatures
from .task import FineTuneTask

LONGEST_BASE = 32


@dataclass(frozen=True)
class Inputs:
    """Corrections with features, to learn from and held out, as the released version's backbone gives them, and its source set."""

    base: StudyFeatures
    trained: list[Correction]
    held_out: list[Correction]
    learn: Examples
    judge: Examples
    source: SourceSet | None
    counts: dict[str, int]
    sha256: str

    @property
    def card(self) -> ModelCard:
        """The card of the released version."""
        return self.base.card

    def version(self, until: int) -> str:
        """The name of the version that these inputs give."""
        return f"{self.card.version[:LONGEST_BASE]}-c{until}-{self.sha256[:8]}"

    def replay(self, most: int, seed: int) -> Examples | None:
        """At most so many training studies of the source set; None where there are none."""
        rows = np.zeros(0, int) if self.source is None else self.source.rows("train")
        rows = rows[drawn(len(rows), seed, most)]
        return None if self.source is None or not len(rows) else self.source.examples(rows)

    def validation(self) -> tuple[Examples, np.ndarray] | None:
        """The validation studies of the source set and their patients (N,); None where there are none."""
        rows = np.zeros(0, int) if self.source is None else self.source.rows("validation")
        return None if self.source is None or not len(rows) else (self.source.examples(rows), self.source.patients[rows])


def gather(task: FineTuneTask, base: StudyFeatures, version: Path, split: Split, tell: Callable[[float], None]) -> Inputs:
    """Features of all corrections, the source set, and the hash of it all.

    Raises InvalidRequest `too_few_corrections` where too few are left whose images could be used, ModelUnavailable for a source set that
    is damaged.
    """
    if base.card.findings != list(finding_keys()):
        message = f"{base.card.name} {base.card.version} tells other findings than those that are corrected. Train it anew on today's list."
        raise InvalidRequest("other_findings", message, field="model", status=409)
    wanted = [*split.trained, *split.held_out]
    found = base.of(wanted, lambda done: tell(done / len(wanted)))
    if task.config.mode == "full":
        found = {one.study: found[one.study] for one in wanted if one.study in found and base.images(one) is not None}
    trained, held_out = ([one for one in part if one.study in found] for part in (split.trained, split.held_out))
    check_trainable(trained, task.config)
    source = read_source_set(version, base.card)
    learn = _examples(trained, found, label_array(trained, task.config.uncertain))
    judge = _examples(held_out, found, label_array(held_out))
    counts = {
        "corrections": len(wanted) + len(split.set_aside),
        "trained": len(trained),
        "held_out": len(held_out),
        "set_aside": len(split.set_aside),
        "without_images": len(wanted) - len(trained) - len(held_out),
        "source": 0 if source is None else len(source),
    }
    return Inputs(base, trained, held_out, learn, judge, source, counts, _sha256(task, base, trained, held_out, learn, judge))


def patients_of(corrections: Sequence[Correction]) -> np.ndarray:
    """The patient (N,) of each correction as a number, so that no key gets into a report."""
    return np.unique([one.patient for one in corrections], return_inverse=True)[1]


def _examples(corrections: Sequence[Correction], found: dict[str, Found], labels: np.ndarray) -> Examples:
    if not corrections:
        return Examples(torch.zeros(0, 1, 1), torch.ones(0, 1, dtype=torch.bool), torch.from_numpy(labels))
    features, masks = zip(*(found[one.study] for one in corrections), strict=True)
    return Examples.of(features, labels, masks)


def _sha256(
    task: FineTuneTask, base: StudyFeatures, trained: Sequence[Correction], held_out: Sequence[Correction], learn: Examples, judge: Examples
) -> str:
    digest = hashlib.sha256(
        f"{task.config.sha256()}\n{base.card.weights_sha256}\n{base.card.source_sha256}\n{base.backbone_sha256}\n".encode()
    )
    for one in (*trained, *held_out):
        digest.update(f"{one.study}\n{one.patient}\n{one.random}\n".encode())
    for part in (learn, judge):
        for tensor in (part.features, part.mask, part.labels):
            digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
