"""How alike the splits of a cohort are against random ones, and how long a large manifest takes to read, write and split.

    python benchmarks/cohort.py [--seeds 20] [--studies 2000] [--large 72756] [--manifest FILE]

The cohorts are made up: 75 correlated findings of 25 % down to 0.2 %, several studies of some patients, 30 % of states not assessed.
Prints one JSON object. `deviation_points` is the largest difference, over findings and over validation and test, of a prevalence from that
of the whole cohort; `without_positives` the mean number of findings without a positive study in validation or test.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from headct_molre.data.cohort import ABSENT, NOT_ASSESSED, PRESENT, SPLITS, UNCERTAIN, Cohort, CohortStudy, read_manifest, split_cohort
from headct_molre.data.cohort.manifest import write_manifest


def main() -> None:
    """Measure both and print the figures."""
    parser = argparse.ArgumentParser(description="Quality of splits and speed of manifests.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--large", type=int, default=72_756)
    parser.add_argument("--manifest", type=Path, help="write the first of the made-up cohorts here and measure nothing")
    options = parser.parse_args()
    if options.manifest is not None:
        write_manifest(made_up(options.studies, 0), options.manifest)
        return
    report = {"quality": quality(options.studies, options.seeds), "seconds": seconds(options.large)}
    report["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(report, indent=2))


def made_up(studies: int, seed: int) -> Cohort:
    """A cohort with a long tail of findings that come together, 1.18 studies a patient, four sites."""
    rng = np.random.default_rng(seed)
    patients = round(0.85 * studies)
    patient = np.concatenate([np.arange(patients), rng.integers(0, patients, studies - patients)])
    prevalence = rng.permutation(np.geomspace(0.25, 0.002, 75))
    illness = (rng.normal(0, 1, (patients, 3)) @ rng.normal(0, 0.7, (3, 75)))[patient]
    present = rng.random((studies, 75)) < 1 / (1 + np.exp(-np.log(prevalence / (1 - prevalence)) - illness))
    states = np.where(present, PRESENT, ABSENT).astype(np.uint8)
    states[rng.random((studies, 75)) < 0.3] = NOT_ASSESSED
    states[rng.random((studies, 75)) < 0.01] = UNCERTAIN
    site = rng.integers(0, 4, patients)
    rows = [
        CohortStudy(f"s{i}", Path(f"/scans/{i}.nii.gz"), f"p{p}", site=f"site{site[p]}", sex="F", age_years=50)
        for i, p in enumerate(patient)
    ]
    return Cohort(tuple(rows), states)


def random_split(cohort: Cohort, seed: int) -> Cohort:
    """Patients dealt out by chance, eight, one and one in ten."""
    patients = np.random.default_rng(seed).permutation(np.unique(cohort.patients))
    first, second = int(0.8 * len(patients)), int(0.9 * len(patients))
    split = {name: SPLITS[int(i >= first) + int(i >= second)] for i, name in enumerate(patients)}
    return Cohort(tuple(replace(study, split=split[study.patient]) for study in cohort.studies), cohort.states)


def quality(studies: int, seeds: int) -> dict[str, dict[str, float]]:
    """Deviations of each way to split over `seeds` cohorts."""
    ways: dict[str, Callable[[Cohort, int], Cohort]] = {
        "random": random_split,
        "stratified": lambda cohort, seed: split_cohort(cohort, seed=seed),
        "stratified, by site": lambda cohort, seed: split_cohort(cohort, seed=seed, by_site=True),
    }
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for seed in range(seeds):
        cohort = made_up(studies, seed)
        for way, split in ways.items():
            found[way].append(deviation(split(cohort, seed)))
    return {
        way: {
            "deviation_points_mean": round(float(np.mean([points for points, _ in rows])), 2),
            "deviation_points_worst": round(max(points for points, _ in rows), 2),
            "without_positives": round(float(np.mean([number for _, number in rows])), 1),
        }
        for way, rows in found.items()
    }


def deviation(cohort: Cohort) -> tuple[float, float]:
    """Largest deviation in points over validation and test, and findings without a positive in one of them, on average."""
    parts = [cohort.part(split) for split in ("validation", "test")]
    largest = max(float(np.nanmax(np.abs(prevalence(part) - prevalence(cohort)))) for part in parts)
    return 100 * largest, float(np.mean([(~(part.states == PRESENT).any(0)).sum() for part in parts]))


def prevalence(cohort: Cohort) -> np.ndarray:
    """Present / (present + absent) of each finding (75,)."""
    present, absent = (cohort.states == PRESENT).sum(0), (cohort.states == ABSENT).sum(0)
    return np.asarray(present / np.maximum(present + absent, 1))


def seconds(studies: int) -> dict[str, float]:
    """Time of each step on one large cohort, with files that are there."""
    cohort = made_up(studies, 0)
    took = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for study in cohort.studies:
            (folder / study.path.name).touch()
        cohort = Cohort(tuple(replace(study, path=folder / study.path.name) for study in cohort.studies), cohort.states)
        for suffix in ("csv", "parquet"):
            path = folder / f"cohort.{suffix}"
            took[f"write {suffix}"] = timed(lambda path=path: write_manifest(cohort, path))
            took[f"read {suffix}"] = timed(lambda path=path: read_manifest(path))
        took["split"] = timed(lambda: split_cohort(cohort))
        took["split by site"] = timed(lambda: split_cohort(cohort, by_site=True))
    return took


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
