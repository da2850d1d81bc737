"""A cohort: studies with their patient, origin, split and the state of each of the 75 findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

SPLITS = ("train", "validation", "test")
# A state is stored as its position here.
STATES = ("not_assessed", "absent", "present", "uncertain")
NOT_ASSESSED, ABSENT, PRESENT, UNCERTAIN = range(len(STATES))


@dataclass(frozen=True)
class CohortStudy:
    """One row of a manifest without its states; None where the manifest does not say.

    `path` is whatever `read_study` reads, `series_uid` picks one of its DICOM series. Studies of one patient are never in two splits.
    `synthetic` marks phantoms: what is trained on them is a demo. `readers` is how many readers the states come from.
    """

    study: str
    path: Path
    patient: str
    split: str | None = None
    site: str | None = None
    scanner: str | None = None
    sex: str | None = None
    age_years: float | None = None
    slice_thickness_mm: float | None = None
    series_uid: str | None = None
    synthetic: bool = False
    readers: int | None = None


@dataclass(frozen=True)
class Cohort:
    """Studies (N) and their `states` (N, 75) uint8, positions in `STATES`, findings in taxonomy order."""

    studies: tuple[CohortStudy, ...]
    states: np.ndarray

    def __len__(self) -> int:
        return len(self.studies)

    @property
    def patients(self) -> np.ndarray:
        """The patient (N,) of each study."""
        return np.array([study.patient for study in self.studies])

    def labels(self, uncertain: Literal["masked", "soft"] = "masked") -> np.ndarray:
        """Labels (N, 75) float32: 1 present, 0 absent, NaN not assessed; uncertain is NaN, or 0.5 where asked for as a soft target."""
        values = np.array([np.nan, 0.0, 1.0, np.nan if uncertain == "masked" else 0.5], np.float32)
        return np.asarray(values[self.states])

    def take(self, rows: Sequence[int] | np.ndarray) -> Cohort:
        """The cohort of these rows, in this order."""
        return Cohort(tuple(self.studies[row] for row in rows), self.states[list(rows)])

    def part(self, split: str) -> Cohort:
        """The studies of one split."""
        return self.take([row for row, study in enumerate(self.studies) if study.split == split])
