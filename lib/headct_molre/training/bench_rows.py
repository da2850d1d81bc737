"""The rows of the adapter benchmark: what the evaluations of an arm's seeds say together, beside the paper's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..data.cohort import read_manifest
from ..evaluation.estimate import Estimate
from ..evaluation.evaluate import Report
from ..evaluation.scores import Scores
from ..evaluation.seeds import mean_difference
from ..findings import CATEGORIES
from ..models.counts import Counts, count_parameters
from ..models.published import TABLE_2
from .bench import BASELINE, MOLRE, Arm, Bench, run_report
from .finished import judged_split, run_scores
from .run_record import RunRecord

MISSING, OPEN, TRAINED = "weights missing", "not trained yet", "trained"


def bench_rows(bench: Bench) -> list[dict[str, Any]]:
    """One row for each arm, as JSON: parameters, means over its finished seeds, the difference to the baseline, and each seed by itself.

    `status` is "trained" where all seeds are finished. What no seed gives yet is null, and a model without weights has its parameters.
    """
    return [_row(bench, arm) for arm in bench.arms]


def _row(bench: Bench, arm: Arm) -> dict[str, Any]:
    records = {seed: record for seed in bench.seeds if (record := bench.finished(arm, seed)) is not None}
    reports = {seed: run_report(bench, arm, seed) for seed in records}
    done = TRAINED if len(records) == len(bench.seeds) else f"{len(records)} of {len(bench.seeds)} seeds" if records else OPEN
    counts, paper = count_parameters(arm.spec, arm.config.adapters), TABLE_2.get(arm.spec.name)
    return {
        "model": arm.spec.name,
        "title": arm.spec.title,
        "kind": arm.spec.kind,
        "arm": arm.name,
        "status": MISSING if arm.backbone_sha256 is None else done,
        **_parameters(counts),
        "mean_auc": _mean([report.summary.macro_auc.value for report in reports.values()]),
        "sd_auc_over_findings": _mean([report.summary.sd_auc for report in reports.values()]),
        "sd_auc_over_seeds": _spread([report.summary.macro_auc.value for report in reports.values()]),
        "findings_estimable": next((report.summary.findings_estimable for report in reports.values()), None),
        "above_090": _mean([report.summary.above_090.value for report in reports.values()]),
        "above_090_by_lower_bound": _mean([report.summary.above_090_by_lower_bound for report in reports.values()]),
        "categories": {name: _mean([_category(report, name) for report in reports.values()]) for name in CATEGORIES},
        "difference": None if arm.name == BASELINE or not records else _difference(bench, arm, records).model_dump(),
        "seeds": [_seed(seed, reports[seed], records[seed]) for seed in records],
        "published": None if paper is None else {**asdict(paper), "mean_auc": paper.auc if arm.name == MOLRE else paper.base_auc},
    }


def _parameters(counts: Counts) -> dict[str, int]:
    return {"total_parameters": counts.total, "trainable_parameters": counts.trainable, "molre_parameters": counts.molre}


def _seed(seed: int, report: Report, record: RunRecord) -> dict[str, Any]:
    summary, comparison = report.summary, report.comparison
    return {
        "seed": seed,
        "macro_auc": summary.macro_auc.model_dump(),
        "sd_auc": summary.sd_auc,
        "above_090": summary.above_090.value,
        "above_090_by_lower_bound": summary.above_090_by_lower_bound,
        "difference": None if comparison is None else comparison.macro_difference.model_dump(),
        "better_by_holm": None if comparison is None else comparison.better_by_holm,
        "worse_by_holm": None if comparison is None else comparison.worse_by_holm,
        "split": report.cohort.split,
        "studies": report.cohort.studies,
        "synthetic_studies": report.cohort.synthetic_studies,
        "best_epoch": record.best_epoch,
        "device": record.device,
        "device_hours": record.device_hours,
        "trainable_parameters": record.trainable_parameters,
    }


def _difference(bench: Bench, arm: Arm, records: dict[int, RunRecord]) -> Estimate:
    """MoLRE less the baseline, over the seeds that are finished; a single seed has the difference of its report."""
    seeds = list(records)
    if len(seeds) == 1:
        compared = run_report(bench, arm, seeds[0]).comparison
        assert compared is not None
        return compared.macro_difference
    split = judged_split(records[seeds[0]])
    folders = [bench.folder(arm, seed) for seed in seeds]
    ours = [run_scores(folder, split) for folder in folders]
    theirs = [run_scores(folder.parents[1] / BASELINE / folder.name, split) for folder in folders]
    part = read_manifest(bench.manifest, check_files=False).part(split)
    scored = set(ours[0].studies)
    cohort = part.take([row for row, study in enumerate(part.studies) if study.study in scored])
    ids = tuple(study.study for study in cohort.studies)

    def logits(scores: Sequence[Scores]) -> list[np.ndarray]:
        return [one.of(ids).logits for one in scores]

    return mean_difference(cohort.labels(), logits(ours), logits(theirs), cohort.patients)


def _category(report: Report, name: str) -> float | None:
    return next(one.macro_auc.value for one in report.summary.categories if one.name == name)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _spread(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None
