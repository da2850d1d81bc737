"""Do corrections teach, and does it matter which studies are read? Active learning on phantoms of a site that the demo model never saw.

    OMP_NUM_THREADS=1 python benchmarks/active_learning.py --work FOLDER --demo runs/demo [--jobs 2]
        [--seeds 0,1,2,3] [--pool 600] [--test 250] [--rounds 8] [--batch 25] [--strength 2]

Phantoms of the shifted site are rendered, prepared and embedded once; the source site is the test split of the demo's own training. Then
each strategy of the product offers 25 studies at a time to a reader who errs in 2 % of the calls, and the released version is tuned anew on
all that was read. Everything is kept in FOLDER: an interrupted benchmark goes on where it stood. It leaves active_learning.json,
active_learning.md and active_learning.png. What is compared, and what phantoms can say: docs/learning_curves.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from active_learning_loop import Plan, Released, finished, read_by, released_version, simulate, state_after, strategies, tune
from active_learning_plot import draw
from active_learning_results import Measure, markdown, summary
from active_learning_site import SHIFTED, SHIFTED_TEST
from active_learning_studies import load_source_test, load_studies
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from headct_molre.cli import guarded
from headct_molre.errors import InvalidRequest
from headct_molre.output import write_whole
from headct_molre.selection import DEFAULT_STRATEGY, STRATEGIES
from headct_molre.training.finetune import Examples

# Cohort seeds of the phantoms; the demo's own is 500.
POOL_SEED, TEST_SEED = 701, 702
DEFAULTS = Plan()


@dataclass(frozen=True)
class Arm:
    """Another way to tune on the corrections that the default strategy chose, or on every study of the pool.

    `strength` of the anchor: None lets the product choose it, "plan" takes that of the curves.
    """

    name: str
    title: str
    strength: float | Literal["plan"] | None = "plan"
    replayed: bool = True
    everything: bool = False

    def plan(self, plan: Plan) -> Plan:
        """The plan with what the arm changes."""
        config = plan.config if self.replayed else plan.config.model_copy(update={"replay_weight": 0.0})
        return replace(plan, strength=plan.strength if self.strength == "plan" else self.strength, config=config)


ARMS = (
    Arm("both", "anchor and replay"),
    Arm("chosen", "chosen anchor, replay", strength=None),
    Arm("anchor", "anchor, no replay", replayed=False),
    Arm("replay", "replay, no anchor", strength=0.0),
    Arm("neither", "neither", strength=0.0, replayed=False),
    Arm("everything", "whole pool, both", everything=True),
)


def main() -> int:
    """Run what is missing, and write and print the tables."""
    parser = argparse.ArgumentParser(description="Learning curves of all strategies on phantoms of a shifted site.")
    parser.add_argument("--work", type=Path, required=True, help="folder of everything that the benchmark writes")
    parser.add_argument("--demo", type=Path, required=True, help="work folder of the demo's training, with its test studies")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--pool", type=int, default=600, help="studies that may be offered")
    parser.add_argument("--test", type=int, default=250, help="studies of the shifted site to measure on")
    parser.add_argument("--strategies", default=",".join(strategies()))
    parser.add_argument("--seeds", default="0,1,2,3")
    parser.add_argument("--rounds", type=int, default=DEFAULTS.rounds)
    parser.add_argument("--batch", type=int, default=DEFAULTS.batch)
    parser.add_argument("--reader-error", type=float, default=DEFAULTS.reader_error)
    parser.add_argument("--strength", type=float, default=DEFAULTS.strength, help="of the anchor")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.set_defaults(run=benchmark)
    return guarded(parser.parse_args())


def benchmark(options: argparse.Namespace) -> int:
    """The whole of it, from phantoms to tables."""
    started = time.monotonic()
    torch.set_num_threads(1)
    names, seeds = options.strategies.split(","), [int(seed) for seed in options.seeds.split(",")]
    unknown = [name for name in names if name not in STRATEGIES]
    if unknown or "random" not in names:
        message = f"--strategies names some of {', '.join(STRATEGIES)}, and random among them, not {options.strategies}."
        raise InvalidRequest("invalid_argument", message, field="strategies")
    options.work.mkdir(parents=True, exist_ok=True)
    plan = Plan(options.rounds, options.batch, options.reader_error, options.strength)
    place = Place(options.work, options.model, options.pool, plan)
    pool = load_studies(SHIFTED, POOL_SEED, options.pool, options.work / "studies", options.model, options.jobs)
    jobs = [(name, seed) for seed in seeds for name in names if finished(place.run(name, seed)) is None]
    _perform(partial(_simulate, place), jobs, options.jobs, "curves")
    arms = [(arm, seed) for seed in seeds for arm in ARMS if not place.arm(arm, seed).is_file()]
    if DEFAULT_STRATEGY in names:
        _perform(partial(_tune_arm, place), arms, options.jobs, "arms")
    test = load_studies(SHIFTED_TEST, TEST_SEED, options.test, options.work / "studies", options.model, options.jobs)
    source = load_source_test(options.demo, options.work / "studies", options.model, options.jobs)
    document = {
        "model": f"{options.model} {released_version(options.model).card.version}",
        "studies": {"pool": len(pool), "test": len(test), "source_test": len(source)},
        "plan": {"strength": plan.strength, "reader_error": plan.reader_error, "config": plan.config.model_dump(mode="json")},
        **_measured(place, names, seeds, Measure(test, source, _prevalence(pool))),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_whole(options.work / "active_learning.json", json.dumps(document, indent=1).encode())
    write_whole(options.work / "active_learning.md", markdown(document).encode())
    draw(document, options.work / "active_learning.png")
    print(markdown(document))
    return 0


@dataclass(frozen=True)
class Place:
    """Where the runs of one plan on one pool lie."""

    work: Path
    model: str
    pool: int
    plan: Plan

    @property
    def folder(self) -> Path:
        """Another folder for another plan."""
        return self.work / "curves" / hashlib.sha256(f"{self.model} {self.pool} {self.plan}".encode()).hexdigest()[:12]

    def run(self, strategy: str, seed: int) -> Path:
        """The folder of a strategy's run."""
        return self.folder / f"{strategy}-{seed}"

    def arm(self, arm: Arm, seed: int) -> Path:
        """The state that an arm tuned."""
        return self.folder / f"arm-{arm.name}-{seed}.safetensors"

    def examples(self) -> Examples:
        """The pool, which is there when this is called."""
        return load_studies(SHIFTED, POOL_SEED, self.pool, self.work / "studies", self.model, 1)


@cache
def _loaded(place: Place) -> tuple[Released, Examples]:
    torch.set_num_threads(1)
    return released_version(place.model), place.examples()


def _simulate(place: Place, job: tuple[str, int]) -> str:
    strategy, seed = job
    simulate(*_loaded(place), strategy, seed, place.plan, place.run(strategy, seed))
    return f"{strategy}, seed {seed}"


def _tune_arm(place: Place, job: tuple[Arm, int]) -> str:
    arm, seed = job
    released, pool = _loaded(place)
    run = finished(place.run(DEFAULT_STRATEGY, seed))
    assert run is not None, "the arms come after the curves"
    calls = read_by(pool.labels.numpy(), place.plan.reader_error, np.random.default_rng([seed, 1]))
    read = np.arange(len(pool)) if arm.everything else np.array(run["read"])
    corrections = pool.take(read).labelled(torch.from_numpy(calls[read]))
    state, strength = tune(released, corrections, arm.plan(place.plan), seed)
    save_file(state, place.arm(arm, seed), {"strength": str(strength)})
    return f"{arm.title}, seed {seed}"


def _perform(work: Any, jobs: list[Any], processes: int, title: str) -> None:
    """Do all jobs, and print each as it ends."""
    if not jobs:
        return
    started = time.monotonic()
    with get_context("spawn").Pool(min(processes, len(jobs))) as pool:
        for number, done in enumerate(pool.imap_unordered(work, jobs), 1):
            print(f"{title} {number} of {len(jobs)}: {done}, {time.monotonic() - started:.0f} s", flush=True)


def _strength(path: Path) -> float:
    with safe_open(path, "np") as tensors:
        return float(tensors.metadata()["strength"])


def _prevalence(pool: Examples) -> np.ndarray:
    known = (~pool.labels.isnan()).sum(0).numpy()
    return np.where(known > 0, (pool.labels == 1).sum(0).numpy() / np.maximum(known, 1), np.nan)


def _measured(place: Place, names: list[str], seeds: list[int], measure: Measure) -> dict[str, Any]:
    """Curves, summary and arms of finished runs."""
    released = released_version(place.model)
    corrections = [number * place.plan.batch for number in range(place.plan.rounds + 1)]
    base = measure.aucs(released, None)
    curves: dict[str, list[dict[str, list[float]]]] = {}
    found: dict[str, list[float]] = {}
    for name in names:
        runs = [place.run(name, seed) for seed in seeds]
        steps = [[base, *(measure.aucs(released, state_after(run, count)) for count in corrections[1:])] for run in runs]
        curves[name] = [{what: [step[what] for step in seed] for what in base} for seed in steps]
        found[name] = [float(np.array((finished(run) or {})["positives"][-1])[measure.tail].sum()) for run in runs]
    arms = []
    for arm in ARMS if DEFAULT_STRATEGY in names else ():
        by_seed = [measure.aucs(released, load_file(place.arm(arm, seed))) for seed in seeds]
        means = {what: round(float(np.mean([one[what] for one in by_seed])), 4) for what in base}
        arms.append({"title": arm.title, **means, "strengths": [_strength(place.arm(arm, seed)) for seed in seeds]})
    return {
        "seeds": seeds,
        "corrections": corrections,
        "released": {what: round(value, 4) for what, value in base.items()},
        "findings": measure.findings(released),
        **summary(curves, corrections),
        "tail_positives_read": {name: float(np.mean(values)) for name, values in found.items()},
        "curves": {
            name: [{what: [round(v, 4) for v in values] for what, values in seed.items()} for seed in of] for name, of in curves.items()
        },
        "arms": arms,
    }


if __name__ == "__main__":
    sys.exit(main())
