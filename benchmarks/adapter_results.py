"""What adapters.py found: every variant against the baseline of its experiment on the test split, as data and as tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from adapter_variants import PAPER_EXPERTS, PAPER_RANK, Job, Place, Variant, finished, job_of

from headct_molre.data.cohort import Cohort, read_manifest
from headct_molre.evaluation.comparison import Comparison, compare
from headct_molre.evaluation.estimate import Estimate
from headct_molre.evaluation.seeds import mean_difference
from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_spec
from headct_molre.training.finished import run_scores
from headct_molre.training.run_record import RunRecord


@dataclass(frozen=True)
class Choice:
    """Which multiple of the usual rates an experiment uses, and the validation AUC of its baseline at each that was tried."""

    scale: float
    validation_auc: dict[str, float]


def results(
    place: Place,
    backbone: dict[str, Any],
    experiments: dict[str, dict[str, Any]],
    variants: dict[str, list[Variant]],
    chosen: dict[str, Choice],
    seeds: list[int],
    work: Path,
    replicates: int,
) -> dict[str, Any]:
    """Everything that is finished, as JSON."""
    test = read_manifest(place.manifest).part("test")
    found = {}
    for name, choice in chosen.items():
        jobs = {variant.name: [job_of(variant, choice.scale, seed, work, experiments) for seed in seeds] for variant in variants[name]}
        baseline = next(jobs[variant.name] for variant in variants[name] if variant.baseline)
        found[name] = {
            "settings": experiments[name],
            "rates": asdict(choice),
            "variants": [_variant(variant, jobs[variant.name], baseline, test, place, replicates) for variant in variants[name]],
            "routing": _routing(variants[name], jobs, test, replicates),
        }
    return {
        "backbone": backbone,
        "manifest_sha256": place.manifest_sha256,
        "backbone_sha256": place.backbone_sha256,
        "seeds": seeds,
        "replicates": replicates,
        "experiments": found,
    }


def markdown(document: dict[str, Any]) -> str:
    """The tables for a reader."""
    parts = []
    for name, experiment in document["experiments"].items():
        rates = ", ".join(f"{scale} {auc:.4f}" for scale, auc in experiment["rates"]["validation_auc"].items())
        first = experiment["variants"][0]
        one = first["runs"][0]
        parts += [
            f"## {TITLES[name]}",
            f"{one['studies']['train']} training, {one['studies']['validation']} validation and {one['studies']['test']} test phantoms, "
            f"{first['findings']} findings estimable; {experiment['settings']['max_epochs']} epochs, of which validation chooses one. "
            f"Rates x{experiment['rates']['scale']:g} for all variants; validation AUC of the baseline by rate: {rates}.",
            _table(HEADS, [_row(variant) for variant in experiment["variants"]]),
            *_routing_table(experiment["routing"]),
            "By seed:",
            _table(SEED_HEADS, [row for variant in experiment["variants"] for row in _seed_rows(variant)]),
        ]
    return "\n\n".join(parts) + "\n"


PAPER = (PAPER_EXPERTS, PAPER_RANK)
TITLES = {"images": "From images: LoRA against LoRA + MoLRE", "cached": "On cached features of the frozen backbone"}
HEADS = [
    "variant",
    "parameters that learn",
    "macro AUC",
    "SD over seeds",
    "difference to the first (95 %)",
    "better",
    "worse",
    "s a run",
]
SEED_HEADS = ["variant", "seed", "macro AUC", "difference (95 %)", "better", "worse", "best epoch"]


def _variant(variant: Variant, jobs: list[Job], baseline: list[Job], test: Cohort, place: Place, replicates: int) -> dict[str, Any]:
    judged = _judged(test, jobs[0])
    ours, theirs = _logits(judged, jobs), _logits(judged, baseline)
    truth, patients = judged.labels(), judged.patients
    compared = [compare(truth, a, b, patients, finding_keys(), "baseline", replicates) for a, b in zip(ours, theirs, strict=True)]
    macro = [one.macro_auc for one in compared]
    records = [finished(job, place) for job in jobs]
    return {
        "name": variant.name,
        "title": variant.title,
        "control": variant.control,
        "baseline": variant.baseline,
        "experts": variant.settings.get("molre_experts"),
        "rank": variant.settings.get("molre_rank"),
        "parameters": parameters(variant, records[0]),
        "findings": compared[0].findings_compared,
        "mean": float(np.mean(macro)),
        "sd": float(np.std(macro, ddof=1)) if len(macro) > 1 else None,
        "difference": None if variant.baseline else mean_difference(truth, ours, theirs, patients, replicates).model_dump(),
        "runs": [
            _run(job, record, one, variant.baseline) for job, record, one in zip(jobs, records, compared, strict=True) if record is not None
        ],
    }


def _routing(variants: list[Variant], jobs: dict[str, list[Job]], test: Cohort, replicates: int) -> list[dict[str, Any]]:
    """The paper's MoLRE against every single expert of the experiment: what routing adds to adapting at all."""
    paper = next(one for one in variants if (one.settings.get("molre_experts"), one.settings.get("molre_rank")) == PAPER)
    judged = _judged(test, jobs[paper.name][0])
    ours = _logits(judged, jobs[paper.name])
    return [
        {
            "title": paper.title,
            "against": one.title,
            "difference": mean_difference(judged.labels(), ours, _logits(judged, jobs[one.name]), judged.patients, replicates).model_dump(),
        }
        for one in variants
        if one.settings.get("molre_experts") == 1
    ]


def _judged(test: Cohort, job: Job) -> Cohort:
    """The test studies that a run could use."""
    scored = set(run_scores(job.folder, "test").studies)
    return test.take([row for row, study in enumerate(test.studies) if study.study in scored])


def _logits(cohort: Cohort, jobs: list[Job]) -> list[np.ndarray]:
    """Logits (N, 75) of each seed's run."""
    ids = tuple(study.study for study in cohort.studies)
    return [run_scores(job.folder, "test").of(ids).logits for job in jobs]


def parameters(variant: Variant, record: RunRecord | None) -> dict[str, int]:
    """What a run counted as trainable, and in `learn` all of it but the router of a single expert, which gets no gradient."""
    if record is None:
        return {}
    one, config = variant.settings.get("molre_experts") == 1, record.config
    router = (backbone_spec("demo").dimension + 2) * config.molre_router_width + 1 if one else 0
    return record.trainable_parameters | {"learn": record.trainable_parameters["all"] - router}


def _run(job: Job, record: RunRecord, one: Comparison, baseline: bool) -> dict[str, Any]:
    return {
        "seed": job.config.seed,
        "macro_auc": one.macro_auc,
        "difference": None if baseline else one.macro_difference.model_dump(),
        "better_by_holm": one.better_by_holm,
        "worse_by_holm": one.worse_by_holm,
        "validation_auc": record.best_validation_auc,
        "best_epoch": record.best_epoch,
        "studies": record.studies,
        "seconds": round(sum(record.seconds.values()), 1),
    }


def _routing_table(compared: list[dict[str, Any]]) -> list[str]:
    if not compared:
        return []
    rows = [[one["title"], one["against"], _shown(one["difference"])] for one in compared]
    return ["Six experts against one:", _table(["variant", "against", "difference (95 %)"], rows)]


def _row(variant: dict[str, Any]) -> list[str]:
    runs = variant["runs"]
    return [
        variant["title"],
        f"{variant['parameters']['learn']:,}",
        f"{variant['mean']:.4f}",
        "" if variant["sd"] is None else f"{variant['sd']:.4f}",
        _shown(variant["difference"]),
        "" if variant["baseline"] else ", ".join(str(len(run["better_by_holm"])) for run in runs),
        "" if variant["baseline"] else ", ".join(str(len(run["worse_by_holm"])) for run in runs),
        f"{np.mean([run['seconds'] for run in runs]):.0f}",
    ]


def _seed_rows(variant: dict[str, Any]) -> list[list[str]]:
    return [
        [
            variant["title"],
            str(run["seed"]),
            f"{run['macro_auc']:.4f}",
            _shown(run["difference"]),
            "" if variant["baseline"] else str(len(run["better_by_holm"])),
            "" if variant["baseline"] else str(len(run["worse_by_holm"])),
            str(run["best_epoch"]),
        ]
        for run in variant["runs"]
    ]


def _shown(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    one = Estimate(**difference)
    if one.value is None or one.low is None:
        return one.reason or "" if one.value is None else f"{one.value:+.4f}"
    return f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows))
