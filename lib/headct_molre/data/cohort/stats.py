"""What a cohort holds: counts of states, prevalences with intervals, findings that come together."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ...findings import finding_keys
from .cohort import ABSENT, NOT_ASSESSED, PRESENT, SPLITS, UNCERTAIN, Cohort
from .groups import GROUPINGS, groups

NORMAL_97_5 = 1.959963984540054
MOST_PAIRS = 20


@dataclass(frozen=True)
class FindingCounts:
    """Studies by their state of one finding. `prevalence` is present / (present + absent) with its Wilson 95 % interval, None for 0 / 0."""

    key: str
    present: int
    absent: int
    uncertain: int
    not_assessed: int
    prevalence: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class GroupStats:
    """Counts of a group of studies.

    `cardinality` is the mean number of findings present in a study, `density` that number over the 75 findings, `assessed` the share of all
    cells that say present, absent or uncertain.
    """

    studies: int
    patients: int
    cardinality: float
    density: float
    assessed: float
    findings: tuple[FindingCounts, ...]


@dataclass(frozen=True)
class Pair:
    """Two findings present in `both` studies, of which `expected` would be if they had nothing to do with each other."""

    first: str
    second: str
    both: int
    expected: float


@dataclass(frozen=True)
class CohortStats:
    """Statistics of all studies, of each split, of each group of each grouping, and the commonest pairs of findings."""

    all: GroupStats
    splits: dict[str, GroupStats]
    by: dict[str, dict[str, GroupStats]]
    pairs: tuple[Pair, ...]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary of finite numbers."""
        return {"schema": "headct.cohort_stats/1", **asdict(self)}


def cohort_stats(cohort: Cohort) -> CohortStats:
    """The statistics of a cohort that is not empty; studies without a split are the split `none`."""
    rows: dict[str, list[int]] = {split: [] for split in (*SPLITS, "none")}
    for row, study in enumerate(cohort.studies):
        rows[study.split or "none"].append(row)
    splits = {split: _group(cohort.take(of_split)) for split, of_split in rows.items() if of_split}
    by = {name: {group: _group(cohort.take(of_group)) for group, of_group in groups(cohort, name).items()} for name in GROUPINGS}
    return CohortStats(_group(cohort), splits, by, _pairs(cohort.states))


def wilson_interval(positives: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of a proportion (Wilson 1927); NaN where `total` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share, weight = positives / total, NORMAL_97_5**2 / total
        middle = (share + weight / 2) / (1 + weight)
        half = NORMAL_97_5 / (1 + weight) * np.sqrt(share * (1 - share) / total + weight / (4 * total))
    # At 0 and at `total` positives an end is exactly 0 or 1, which rounding would miss.
    low = np.where(positives == 0, 0.0, middle - half)
    return np.where(total > 0, low, np.nan), np.where((positives == total) & (total > 0), 1.0, middle + half)


def _group(cohort: Cohort) -> GroupStats:
    counts = {state: (cohort.states == state).sum(0) for state in (PRESENT, ABSENT, UNCERTAIN, NOT_ASSESSED)}
    known = counts[PRESENT] + counts[ABSENT]
    with np.errstate(invalid="ignore"):
        prevalence = counts[PRESENT] / known
    low, high = wilson_interval(counts[PRESENT], known)
    columns = [counts[PRESENT], counts[ABSENT], counts[UNCERTAIN], counts[NOT_ASSESSED]]
    findings = tuple(
        FindingCounts(key, *(int(column[i]) for column in columns), *(_number(values[i]) for values in (prevalence, low, high)))
        for i, key in enumerate(finding_keys())
    )
    cardinality = float(counts[PRESENT].sum() / len(cohort))
    return GroupStats(
        studies=len(cohort),
        patients=len(np.unique(cohort.patients)),
        cardinality=cardinality,
        density=cardinality / len(findings),
        assessed=float((cohort.states != NOT_ASSESSED).mean()),
        findings=findings,
    )


def _pairs(states: np.ndarray) -> tuple[Pair, ...]:
    """The commonest pairs; what is expected counts only studies where both are known to be present or absent."""
    present = (states == PRESENT).astype(np.float32)
    known = present + (states == ABSENT)
    both, alone, judged = present.T @ present, present.T @ known, known.T @ known
    with np.errstate(invalid="ignore"):
        expected = alone * alone.T / judged
    first, second = np.triu_indices(len(both), 1)
    order = np.argsort(-both[first, second], kind="stable")[:MOST_PAIRS]
    keys = finding_keys()
    return tuple(
        Pair(keys[i], keys[j], int(both[i, j]), round(float(expected[i, j]), 2))
        for i, j in zip(first[order], second[order], strict=True)
        if both[i, j] > 0
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
