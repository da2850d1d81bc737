"""Studies that neither version learned from, with what both say of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...errors import InvalidRequest
from ...evaluation.auc import patient_codes
from ...evaluation.scores import Scores
from ...findings import finding_keys


@dataclass(frozen=True)
class HeldOut:
    """N studies and all findings in taxonomy order.

    `truth` (N, 75) of 1, 0 and NaN for what was not assessed or is uncertain; raw logits of `champion` and `candidate` (N, 75); names of
    `patients` (N,), and of the `readers` (N,) whose label it is, where that is known. Raises InvalidRequest where shapes differ.
    """

    truth: np.ndarray
    champion: np.ndarray
    candidate: np.ndarray
    patients: np.ndarray
    readers: np.ndarray | None = None

    def __post_init__(self) -> None:
        expected = (len(self.patients), len(finding_keys()))
        for name in ("truth", "champion", "candidate"):
            shape = getattr(self, name).shape
            if shape != expected:
                raise InvalidRequest("invalid_scores", f"{name} has the shape {shape} and not {expected}.", field=name)
        if self.readers is not None and self.readers.shape != self.patients.shape:
            raise InvalidRequest("invalid_scores", "There is not one reader for each study.", field="readers")

    def __len__(self) -> int:
        return len(self.patients)

    @cached_property
    def codes(self) -> np.ndarray | None:
        """Codes of patients as `patient_codes` gives them."""
        return patient_codes(self.patients)


def held_out(
    studies: tuple[str, ...],
    truth: np.ndarray,
    patients: np.ndarray,
    champion: Scores,
    candidate: Scores,
    readers: np.ndarray | None = None,
) -> HeldOut:
    """Both versions' scores brought into the order of `studies`. Raises InvalidRequest that names a study without scores."""
    logits = (champion.of(studies).logits, candidate.of(studies).logits)
    return HeldOut(np.asarray(truth, np.float64), *logits, np.asarray(patients), readers)
