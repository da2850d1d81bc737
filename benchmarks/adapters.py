"""Does MoLRE help? LoRA against LoRA + MoLRE, and MoLRE's K and r swept, on phantoms with a frozen backbone that never saw a finding.

    OMP_NUM_THREADS=1 python benchmarks/adapters.py --work FOLDER [--cohort cohort.csv] [--samples FOLDER] [--jobs 2]
        [--only cached] [--seeds 0,1,2] [--rate-scales 3,10,30,100] [--image-epochs 8] [--cached-epochs 200]

Everything is kept in FOLDER: an interrupted benchmark goes on where it stood, and a finished run is not repeated. It leaves adapters.json,
adapters.md and adapters.png, written anew after every stage. The learning rates are chosen on the validation split, by the first seed of
the baseline of each experiment alone, and then hold for all of its variants. What is compared, and what phantoms can say: docs/adapters.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from adapter_backbone import TissueTask, ensure_backbone, use_small_input
from adapter_plot import draw
from adapter_results import Choice, markdown, results
from adapter_variants import Job, Place, cached_variants, finished, image_variants, job_of, perform

from headct_molre.cli import guarded
from headct_molre.data.cache_folder import cache_folder, cache_limit_bytes
from headct_molre.data.cohort import Cohort, read_manifest
from headct_molre.data.phantom import LABELS_FILE, write_cohort
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.errors import InvalidRequest
from headct_molre.evaluation.cases import MINIMUM_CASES
from headct_molre.hashing import file_sha256
from headct_molre.imaging.grid import SLICE_GRID
from headct_molre.output import write_whole
from headct_molre.training.prepared_cohort import prepare_cohort
from headct_molre.training.run_record import RunRecord


def main() -> int:
    """Run what is missing, and write and print the tables."""
    parser = argparse.ArgumentParser(description="LoRA against LoRA + MoLRE on phantoms.")
    parser.add_argument("--work", type=Path, required=True, help="folder of everything that the benchmark writes")
    parser.add_argument("--cohort", type=Path, metavar="MANIFEST", help="a cohort of phantoms with splits; written if not given")
    parser.add_argument("--studies", type=int, default=720, help="without --cohort: how many phantoms to write")
    parser.add_argument("--cohort-seed", type=int, default=500, help="without --cohort: their seed")
    parser.add_argument("--matrix", type=int, default=256, help="without --cohort: pixels of a slice's side")
    parser.add_argument("--samples", type=Path, metavar="FOLDER", help="phantoms for the backbone, seed.npz each; made there if missing")
    parser.add_argument("--samples-count", type=int, default=400)
    parser.add_argument("--samples-first-seed", type=int, default=1)
    parser.add_argument("--pretrain-steps", type=int, default=400)
    parser.add_argument("--only", choices=("cached", "images"), help="one of the two experiments")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rate-scales", default="3,10,30,100", help="times the usual rates 1e-3 (head) and 1e-4 (adapters)")
    parser.add_argument("--image-epochs", type=int, default=8)
    parser.add_argument("--cached-epochs", type=int, default=200)
    parser.add_argument("--selection-minimum", type=int, default=5, help="positives and negatives that a finding needs to choose an epoch")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap replicates of patients")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.set_defaults(run=benchmark)
    return guarded(parser.parse_args())


def benchmark(options: argparse.Namespace) -> int:
    """The whole of it, from phantoms to tables."""
    started = time.monotonic()
    seeds = [int(seed) for seed in numbers(options.seeds, "seeds")]
    scales = numbers(options.rate_scales, "rate-scales")
    options.work.mkdir(parents=True, exist_ok=True)
    home = options.work / "home"
    use_small_input(home)
    task = TissueTask(options.samples_first_seed, options.samples_count, options.pretrain_steps)
    backbone = ensure_backbone(home, task, options.samples or options.work / "samples", options.jobs)
    print(f"backbone: names tissues with AUC {backbone['patch_auc']:.3f} in patches, {backbone['slice_auc']:.3f} in slices", flush=True)
    place = prepared_place(options, home)
    experiments = {"cached": cached_settings(options), "images": image_settings(options)}
    variants = {"cached": cached_variants(), "images": image_variants()}
    chosen: dict[str, Choice] = {}
    expected: dict[str, float] = {}
    names = [name for name in experiments if options.only in (None, name)]

    def save() -> dict:
        document = results(place, backbone, experiments, variants, chosen, seeds, options.work, options.replicates)
        document["seconds"] = {"expected": expected, "this_call": round(time.monotonic() - started, 1), "processes": options.jobs}
        write_whole(options.work / "adapters.json", json.dumps(document, indent=2).encode())
        write_whole(options.work / "adapters.md", markdown(document).encode())
        draw(document, options.work / "adapters.png")
        return document

    for name in names:
        at = partial(job_of, work=options.work, experiments=experiments)
        tried = [at(variants[name][0], scale, seeds[0]) for scale in scales]
        # The first alone: it leaves the features that all others on cached features read.
        report(name, perform(tried[:1], place, options.jobs))
        runs = len(tried) + len(variants[name]) * len(seeds) - 1
        expected[name] = expect(finished(tried[0], place), runs, options.jobs)
        print(f"{name}: {runs} runs, about {expected[name] / 60:.0f} minutes by the first of them", flush=True)
        report(name, perform(tried, place, options.jobs))
        chosen[name] = choose(tried, place)
        print(f"{name}: rates x{chosen[name].scale:g}, validation AUC of the baseline {chosen[name].validation_auc}", flush=True)
        if chosen[name].scale == max(scales) and len(scales) > 1:
            print(f"{name}: that is the largest of --rate-scales; the baseline may gain from a larger one", flush=True)
        report(name, perform([at(variant, chosen[name].scale, seed) for seed in seeds for variant in variants[name]], place, options.jobs))
        save()
    print(markdown(save()))
    return 0


def numbers(text: str, option: str) -> list[float]:
    """Different numbers, separated by commas. Raises InvalidRequest."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or len(set(values)) < len(values):
        raise InvalidRequest("invalid_argument", f"--{option} {text!r} is not a list of different numbers like 0,1,2.", field=option)
    return values


def prepared_place(options: argparse.Namespace, home: Path) -> Place:
    """The cohort, written if none was given, and prepared once for all runs."""
    manifest = options.cohort
    if manifest is None:
        manifest = options.work / "cohort" / LABELS_FILE
        if not manifest.is_file():
            write_cohort(manifest.parent, options.studies, options.cohort_seed, options.matrix, True, options.jobs, (0.55, 0.165, 0.285))
    sha256 = file_sha256(manifest)
    record = options.work / f"prepared-{sha256[:12]}.json"
    cohort = read_manifest(manifest)
    refuse_small_test(cohort)
    used = cohort.take([row for row, study in enumerate(cohort.studies) if study.split is not None])
    prepare_cohort(used, PreparedCache(cache_folder() / "prepared", cache_limit_bytes()), SLICE_GRID, options.jobs, record)
    weights = file_sha256(home / "backbones" / "demo.safetensors")
    return Place(manifest, cache_folder(), cache_limit_bytes(), record, home, sha256, weights)


def refuse_small_test(cohort: Cohort) -> None:
    """Raise InvalidRequest where the test split could judge nothing, before hours of training."""
    truth = cohort.part("test").labels()
    if not (np.minimum((truth == 1).sum(0), (truth == 0).sum(0)) >= MINIMUM_CASES).any():
        message = f"No finding has {MINIMUM_CASES} positive and {MINIMUM_CASES} negative studies in the test split. Take a larger cohort."
        raise InvalidRequest("test_too_small", message, field="cohort")


def cached_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What all variants on cached features share."""
    return common(options) | epochs(options.cached_epochs) | {"lora": False, "features": "cached", "micro_batch": 8}


def image_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What all variants from images share: the plain picture every time, and a small network that fits whole."""
    plain = {"augmentation": {"enabled": False}, "chunk_slices": 36, "checkpointing": False, "precision": "auto"}
    return common(options) | epochs(options.image_epochs) | plain


def common(options: argparse.Namespace) -> dict[str, Any]:
    """What both experiments share."""
    return {"precision": "fp32", "selection_minimum": options.selection_minimum}


def epochs(count: int) -> dict[str, Any]:
    """Always so many epochs, of which validation chooses one: no variant stops before another."""
    return {"min_epochs": count, "max_epochs": count, "warmup_epochs": min(1.0, count / 4)}


def choose(jobs: list[Job], place: Place) -> Choice:
    """The scale whose baseline has the best validation AUC."""
    records = {job.scale: finished(job, place) for job in jobs}
    aucs = {scale: record.best_validation_auc or 0.0 for scale, record in records.items() if record is not None}
    return Choice(max(aucs, key=lambda scale: aucs[scale]), {f"x{scale:g}": round(auc, 4) for scale, auc in aucs.items()})


def report(experiment: str, ended: Iterable[tuple[Job, float]]) -> None:
    """Print each run as it ends."""
    for job, seconds in ended:
        print(f"{experiment}, {job.variant.title}, rates x{job.scale:g}, seed {job.config.seed}: {seconds:.0f} s", flush=True)


def expect(first: RunRecord | None, runs: int, processes: int) -> float:
    """Seconds that all runs of an experiment will take by its first one; only that one computes the features."""
    seconds = {} if first is None else first.seconds
    total = sum(seconds.values())
    return round(total + (runs - 1) * (total - seconds.get("features", 0.0)) / processes, 1)


if __name__ == "__main__":
    sys.exit(main())
