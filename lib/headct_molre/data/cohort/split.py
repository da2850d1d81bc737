"""Splits of a cohort: a patient in one of them only, each finding in all of them alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from ...errors import InvalidRequest, NotFound
from .cohort import ABSENT, PRESENT, SPLITS, Cohort
from .stratify import polish, stratify
from .table import FIRST_ROW

TEST = SPLITS.index("test")


def split_cohort(
    cohort: Cohort,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    *,
    by_site: bool = False,
    hold_out_site: str | None = None,
    redo: bool = False,
) -> Cohort:
    """The cohort with a split for every study, in the same order.

    `fractions` of train, validation and test sum to 1. Studies that have a split keep it, and a new study of a patient follows the patient;
    `redo` forgets all splits. `by_site` gives each split its share of each site, too. `hold_out_site` becomes the test split with all
    patients who were ever there, and the others are shared out between train and validation. The same studies and seed give the same
    splits, in whatever order the rows are. Raises InvalidRequest for fractions that are none, a patient in two splits and a held-out
    study that is in another split already; NotFound for an unknown site.
    """
    shares = _shares(fractions)
    patients, group = np.unique(cohort.patients, return_inverse=True)
    assigned = np.full(len(patients), -1) if redo else _given(cohort, group, len(patients))
    if hold_out_site is not None:
        _hold_out(cohort, group, assigned, hold_out_site)
        shares[TEST] = 0.0
        shares /= shares.sum()
    counts = _label_counts(cohort, group, len(patients), by_site)
    # What is held out takes nothing from what the other splits want.
    shared = np.flatnonzero(assigned != TEST) if hold_out_site is not None else np.arange(len(patients))
    assigned[shared] = _share_out(counts[shared], shares, assigned[shared], seed)
    studies = (replace(study, split=SPLITS[part]) for study, part in zip(cohort.studies, assigned[group], strict=True))
    return Cohort(tuple(studies), cohort.states)


def _shares(fractions: Sequence[float]) -> np.ndarray:
    shares = np.array(fractions, float)
    if shares.shape != (3,) or not np.all(shares >= 0) or not math.isclose(shares.sum(), 1, abs_tol=1e-6) or shares[0] == 0:
        message = f"fractions are of train, validation and test, from 0 to 1, and sum to 1; train is not 0. Not {list(fractions)}."
        raise InvalidRequest("invalid_argument", message, field="fractions")
    return shares


def _given(cohort: Cohort, group: np.ndarray, patients: int) -> np.ndarray:
    """The split (P,) of each patient that has one, else -1."""
    assigned = np.full(patients, -1)
    for row, (study, patient) in enumerate(zip(cohort.studies, group, strict=True), FIRST_ROW):
        if study.split is not None:
            split = SPLITS.index(study.split)
            if assigned[patient] not in (-1, split):
                message = f"The patient of row {row} is in two splits. Correct the column split, or split again with redo."
                raise InvalidRequest("patient_in_two_splits", message, field="split")
            assigned[patient] = split
    return assigned


def _hold_out(cohort: Cohort, group: np.ndarray, assigned: np.ndarray, site: str) -> None:
    there = np.array([study.site == site for study in cohort.studies])
    if not there.any():
        raise NotFound("unknown_site", f"No study is of the site {site!r}; the column site names them.", field="hold_out_site")
    held = np.unique(group[there])
    if np.isin(assigned[held], (-1, TEST), invert=True).any():
        message = f"Patients of {site!r} are in train or validation already. Split again with redo, or empty their column split."
        raise InvalidRequest("site_already_split", message, field="hold_out_site")
    if len(held) == len(assigned):
        raise InvalidRequest("invalid_argument", f"All patients are of the site {site!r}: none is left to train on.", field="hold_out_site")
    assigned[held] = TEST


def _share_out(counts: csr_matrix, shares: np.ndarray, assigned: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return polish(counts, shares, stratify(counts, shares, assigned, rng), assigned < 0, rng)


def _label_counts(cohort: Cohort, group: np.ndarray, patients: int, by_site: bool) -> csr_matrix:
    """How many studies of each patient (P, L) have each finding present, have it absent, are of each site, and are there at all.

    Absent counts as a label, too: where states are missing, a prevalence has a denominator of its own.
    """
    labels = [cohort.states == PRESENT, cohort.states == ABSENT]
    if by_site:
        sites, place = np.unique([study.site or "" for study in cohort.studies], return_inverse=True)
        labels.append(place[:, None] == np.arange(len(sites)))
    labels.append(np.ones((len(cohort), 1), bool))
    study, label = np.nonzero(np.hstack(labels))
    shape = patients, sum(block.shape[1] for block in labels)
    return coo_matrix((np.ones(len(study), np.int64), (group[study], label)), shape=shape).tocsr()
