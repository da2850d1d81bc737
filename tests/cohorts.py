"""Small cohorts for tests, without images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headct_molre.data.cohort import ABSENT, NOT_ASSESSED, PRESENT, UNCERTAIN, Cohort, CohortStudy


def long_tail_cohort(count: int, seed: int = 0, sites: int = 3) -> Cohort:
    """Studies, more than one of some patients, with findings of 25 % down to 0.2 %, a third not assessed and a few uncertain."""
    rng = np.random.default_rng(seed)
    patients = round(0.8 * count)
    patient = np.concatenate([np.arange(patients), rng.integers(0, patients, count - patients)])
    prevalence = rng.permutation(np.geomspace(0.25, 0.002, 75))
    states = np.where(rng.random((count, 75)) < prevalence, PRESENT, ABSENT).astype(np.uint8)
    states[rng.random((count, 75)) < 0.3] = NOT_ASSESSED
    states[rng.random((count, 75)) < 0.01] = UNCERTAIN
    site = rng.integers(0, sites, patients)
    studies = [CohortStudy(f"s{i}", Path(f"/scans/{i}.nii.gz"), f"p{p}", site=f"site {site[p]}") for i, p in enumerate(patient)]
    return Cohort(tuple(studies), states)
