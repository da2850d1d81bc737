"""Cohorts whose AUCs are known: binormal scores of findings with a given prevalence, and scores of a second model beside them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from scipy.special import logit, ndtri

from headct_molre.data.cohort import ABSENT, NOT_ASSESSED, PRESENT, STATES, UNCERTAIN, Cohort, CohortStudy
from headct_molre.evaluation.scores import Scores
from headct_molre.findings import finding_keys

SITES = ("north", "north", "south", "west")
SCANNERS = ("Alpha 64", "Beta 128", "Beta 128")


def separation(auc: float | np.ndarray) -> np.ndarray:
    """Distance of two unit normal distributions between which the AUC is `auc`."""
    return np.sqrt(2) * ndtri(auc)


def binormal(rng: np.random.Generator, truth: np.ndarray, auc: float | np.ndarray) -> np.ndarray:
    """Scores of truth (N, F) or (N,) with this true AUC; NaN labels are scored as negatives."""
    return rng.normal(size=truth.shape) + separation(auc) * np.nan_to_num(truth)


def simulated(
    studies: int = 400,
    seed: int = 0,
    auc: float | np.ndarray | None = None,
    prevalence: np.ndarray | None = None,
    studies_per_patient: float = 1.0,
    not_assessed: float = 0.02,
    uncertain: float = 0.01,
    gain: float = 0.1,
) -> tuple[Cohort, Scores, Scores]:
    """A cohort with the scores of a better and a worse model that share most of their noise.

    The scores of the better one are true log odds of a binormal model with `auc` (F,), so that a slope of 1 and no shift would calibrate
    them; they are written down distorted, as focal loss leaves them. `gain` is the better one's lead in standard deviations.
    """
    rng = np.random.default_rng(seed)
    keys = finding_keys()
    prevalence = np.geomspace(0.3, 0.004, len(keys))[rng.permutation(len(keys))] if prevalence is None else prevalence
    auc = np.clip(rng.normal(0.9, 0.05, len(keys)), 0.65, 0.985) if auc is None else np.broadcast_to(auc, len(keys))
    present = rng.random((studies, len(keys))) < prevalence
    states = np.where(present, PRESENT, ABSENT).astype(np.uint8)
    drawn = rng.random(states.shape)
    states[drawn < not_assessed] = NOT_ASSESSED
    states[(drawn >= not_assessed) & (drawn < not_assessed + uncertain)] = UNCERTAIN
    patients = rng.integers(0, max(1, round(studies / studies_per_patient)), studies) if studies_per_patient > 1 else np.arange(studies)
    distance = separation(auc)
    noise = rng.normal(size=states.shape)
    better = noise + distance * present
    worse = noise + rng.normal(size=states.shape) * 0.3 + np.maximum(distance - gain, 0) * present

    def log_odds(score: np.ndarray) -> np.ndarray:
        return distance * score - distance**2 / 2 + logit(prevalence)

    rows = tuple(
        CohortStudy(
            study=f"study-{number:05d}",
            path=Path(f"study-{number:05d}.nii.gz"),
            patient=f"patient-{patients[number]:05d}",
            split="validation" if number % 3 == 0 else "test",
            site=SITES[number % len(SITES)],
            scanner=SCANNERS[rng.integers(len(SCANNERS))],
            sex=("F", "M", None)[rng.choice(3, p=[0.48, 0.48, 0.04])],
            age_years=float(np.clip(rng.normal(62, 18), 1, 101).round()),
            slice_thickness_mm=float(rng.choice([0.625, 1.25, 2.5, 5.0])),
            synthetic=True,
        )
        for number in range(studies)
    )
    ids = tuple(study.study for study in rows)
    return Cohort(rows, states), Scores(ids, 0.6 * log_odds(better) + 1.5), Scores(ids, 0.6 * log_odds(worse) + 1.5)


def write_manifest(cohort: Cohort, path: Path) -> None:
    """The cohort as the CSV that `read_manifest` reads."""
    about = ("study", "path", "patient", "split", "site", "scanner", "sex", "age_years", "slice_thickness_mm")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*about, "synthetic", *finding_keys()])
        for study, states in zip(cohort.studies, cohort.states.tolist(), strict=True):
            known = ["" if getattr(study, name) is None else getattr(study, name) for name in about]
            writer.writerow([*known, str(study.synthetic).lower(), *("" if state == NOT_ASSESSED else STATES[state] for state in states)])
