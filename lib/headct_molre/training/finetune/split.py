"""Which corrections are learned from, and which the gate judges by: a function of the patient, the same in every fine-tune."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import InvalidRequest
from .config import FineTuneConfig
from .corrections import Correction, label_array


@dataclass(frozen=True)
class Split:
    """Corrections to learn from, and those held out; `set_aside` are other studies of held-out patients, which are neither."""

    trained: list[Correction]
    held_out: list[Correction]
    set_aside: list[Correction]


def split_corrections(corrections: Sequence[Correction], share: float) -> Split:
    """Hold out the randomly offered studies of a `share` of patients; no patient is on both sides.

    What a strategy picked is no unbiased sample, so the gate never sees it.
    """
    patients = {one.patient for one in corrections if one.random and _place(one.patient) < share}
    held_out = [one for one in corrections if one.random and one.patient in patients]
    set_aside = [one for one in corrections if not one.random and one.patient in patients]
    return Split([one for one in corrections if one.patient not in patients], held_out, set_aside)


def check_trainable(trained: Sequence[Correction], config: FineTuneConfig) -> None:
    """Raises InvalidRequest `too_few_corrections` or `one_class_only`, with what to do."""
    if len(trained) < config.minimum_corrections:
        message = (
            f"Too few corrections to learn from: {len(trained)}, at least {config.minimum_corrections} are needed. "
            "Studies that are held out for the gate do not count."
        )
        raise InvalidRequest("too_few_corrections", message, field="minimum_corrections", status=409)
    labels = label_array(trained)
    if not ((labels == 1).any(0) & (labels == 0).any(0)).any():
        message = (
            "One class only: no finding is present in one of the corrections and absent in another, so there is nothing to tell apart. "
            "Confirm as absent what is absent, and correct studies of either kind."
        )
        raise InvalidRequest("one_class_only", message, status=409)


def usable(corrections: Sequence[Correction], config: FineTuneConfig) -> list[Correction]:
    """Those that say anything: a label of nothing but what was not assessed, or is left out, teaches nothing."""
    known = np.isfinite(label_array(corrections, config.uncertain)).any(1)
    return [one for one, says in zip(corrections, known, strict=True) if says]


def _place(patient: str) -> float:
    """A number from 0 to 1 that follows from the patient's key."""
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") / 2**64
