"""What a manifest may hold but a researcher should know before a training: warnings, never errors."""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from ...findings import finding_keys
from .cohort import NOT_ASSESSED, PRESENT, SPLITS, Cohort
from .problems import ManifestProblem, count
from .table import FIRST_ROW

FEWEST_POSITIVES = 5
RARE = "few_positives"


def manifest_warnings(cohort: Cohort) -> list[ManifestProblem]:
    """Empty files, patients that may be one, studies without a split, sites in one split only, findings too rare to judge."""
    return [*_empty_files(cohort), *_similar_patients(cohort), *_without_split(cohort), *_sites(cohort), *_rare_findings(cohort)]


def _empty_files(cohort: Cohort) -> Iterator[ManifestProblem]:
    for row, study in enumerate(cohort.studies, FIRST_ROW):
        try:
            status = study.path.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            yield ManifestProblem(row, "path", str(study.path), "is an empty file", "empty_file")


def _similar_patients(cohort: Cohort) -> Iterator[ManifestProblem]:
    """A spreadsheet that takes 007 for a number makes a second patient of it."""
    spellings: dict[str, dict[str, int]] = defaultdict(dict)
    for row, study in enumerate(cohort.studies, FIRST_ROW):
        spellings[study.patient.casefold().lstrip("0")].setdefault(study.patient, row)
    for rows in spellings.values():
        first, *others = rows.values()
        for row in others:
            message = f"differs from that of row {first} in letter case or leading zeros only"
            yield ManifestProblem(row, "patient", None, message, "similar_patient")


def _without_split(cohort: Cohort) -> Iterator[ManifestProblem]:
    rows = [row for row, study in enumerate(cohort.studies, FIRST_ROW) if study.split is None]
    if len(rows) == len(cohort):
        yield ManifestProblem(None, "split", None, "no study has a split; headct-molre cohort split makes them", "no_split")
    elif rows:
        message = f"{count(len(rows), 'study')} from this row on without a split, which no training takes"
        yield ManifestProblem(rows[0], "split", None, message, "no_split")


def _sites(cohort: Cohort) -> Iterator[ManifestProblem]:
    splits_of: dict[str, set[str]] = defaultdict(set)
    for study in cohort.studies:
        if study.site is not None and study.split is not None:
            splits_of[study.site].add(study.split)
    if len(set().union(*splits_of.values())) > 1:
        for site, splits in sorted(splits_of.items()):
            if len(splits) == 1:
                message = f"is in {min(splits)} only; what sets the site apart is then not to be told from what sets the split apart"
                yield ManifestProblem(None, "site", site, message, "site_in_one_split")


def _rare_findings(cohort: Cohort) -> Iterator[ManifestProblem]:
    if nowhere := int((cohort.states == NOT_ASSESSED).all(0).sum()):
        yield ManifestProblem(None, None, None, f"{count(nowhere, 'finding')} not assessed in any study", "not_assessed")
    for key, positives in rare_findings(cohort).items():
        counted = ", ".join(f"{number} in {split}" for split, number in positives.items())
        yield ManifestProblem(None, key, counted, f"positive studies; below {FEWEST_POSITIVES} nothing can be said of a finding", RARE)


def rare_findings(cohort: Cohort) -> dict[str, dict[str, int]]:
    """Positive studies by split of each finding that some split has fewer than 5 of; without splits, by `all studies`.

    Findings that are not assessed in any study are left out.
    """
    split_of = np.array([study.split or "" for study in cohort.studies])
    present = cohort.states == PRESENT
    used = [split for split in SPLITS if (split_of == split).any()]
    in_split = {split: present[split_of == split].sum(0) for split in used} or {"all studies": present.sum(0)}
    assessed = (cohort.states != NOT_ASSESSED).any(0)
    positives = {
        key: {split: int(numbers[i]) for split, numbers in in_split.items()} for i, key in enumerate(finding_keys()) if assessed[i]
    }
    return {key: numbers for key, numbers in positives.items() if min(numbers.values()) < FEWEST_POSITIVES}
