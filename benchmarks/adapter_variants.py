"""The variants that adapters.py compares, each as settings of the library's training run, and the runs of them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from adapter_backbone import use_small_input

from headct_molre.models.backbones import backbone_spec
from headct_molre.models.counts import count_parameters
from headct_molre.training.config import TrainingConfig
from headct_molre.training.distributed import Group
from headct_molre.training.finished import finished_run
from headct_molre.training.run import RunOptions, run
from headct_molre.training.run_record import RunRecord

EXPERTS, RANKS = (1, 2, 4, 6, 8, 12), (2, 4, 8, 16)
PAPER_EXPERTS, PAPER_RANK = 6, 8
# At these the published rates of the paper's sister are 1; head and adapters keep their ratio of ten.
HEAD_RATE, ADAPTER_RATE = 1e-3, 1e-4


@dataclass(frozen=True)
class Variant:
    """One adapter in one experiment: "images" trains LoRA too, "cached" works on features of the frozen backbone."""

    name: str
    experiment: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    control: bool = False

    @property
    def baseline(self) -> bool:
        """Whether the others of its experiment are compared with it."""
        return not self.settings["molre"]


@dataclass(frozen=True)
class Job:
    """One run: a variant with all of its settings, in a folder of its own."""

    variant: Variant
    scale: float
    config: TrainingConfig
    folder: Path


@dataclass(frozen=True)
class Place:
    """What all runs share: the manifest, the caches, the record of the preparation, the home of the backbone, and hashes of the inputs."""

    manifest: Path
    cache: Path
    cache_bytes: int
    prepared: Path
    home: Path
    manifest_sha256: str
    backbone_sha256: str


def image_variants() -> list[Variant]:
    """LoRA, the paper's baseline, against LoRA with MoLRE."""
    return [
        Variant("lora", "images", "LoRA", {"molre": False}),
        Variant("lora-molre", "images", f"LoRA + MoLRE, K={PAPER_EXPERTS}, r={PAPER_RANK}", _molre(PAPER_EXPERTS, PAPER_RANK)),
    ]


def cached_variants() -> list[Variant]:
    """Pooling and head alone against MoLRE of every K at r=8 and every r at K=6, and single experts of the same size as controls."""
    sizes = [(experts, PAPER_RANK) for experts in EXPERTS] + [(PAPER_EXPERTS, rank) for rank in RANKS if rank != PAPER_RANK]
    swept = [
        Variant(f"molre-k{experts}-r{rank}", "cached", f"MoLRE, K={experts}, r={rank}", _molre(experts, rank)) for experts, rank in sizes
    ]
    budget, matched = PAPER_EXPERTS * PAPER_RANK, matched_rank()
    controls = [
        Variant(f"single-r{budget}", "cached", f"one expert, r={budget}: the rank of all six", _molre(1, budget), control=True),
        Variant(f"single-r{matched}", "cached", f"one expert, r={matched}: as many parameters", _molre(1, matched), control=True),
    ]
    return [Variant("head", "cached", "pooling and head only", {"molre": False}), *swept, *controls]


def matched_rank() -> int:
    """The rank at which one expert has as many parameters as six of rank 8 with their router; the router of one expert never learns."""
    spec = backbone_spec("demo")
    molre = count_parameters(spec).molre
    return round((molre - spec.dimension) / (2 * spec.dimension + 1))


def job_of(variant: Variant, scale: float, seed: int, work: Path, experiments: dict[str, dict[str, Any]]) -> Job:
    """The run of a variant at `scale` times the usual rates; `experiments` holds the settings that its experiment's variants share."""
    rates = {"head_rate": HEAD_RATE * scale, "adapter_rate": ADAPTER_RATE * scale, "seed": seed}
    config = TrainingConfig(model="demo", **experiments[variant.experiment] | variant.settings | rates)
    return Job(variant, scale, config, work / "runs" / variant.experiment / variant.name / f"rate-x{scale:g}" / f"seed-{seed}")


def finished(job: Job, place: Place) -> RunRecord | None:
    """The record of the run if it ended."""
    return finished_run(job.folder, job.config, place.manifest_sha256, place.backbone_sha256)


def perform(jobs: Iterable[Job], place: Place, processes: int) -> Iterator[tuple[Job, float]]:
    """Run what is not finished, so many at a time with one thread each; each run as it ends, with its wall time in seconds."""
    waiting = [job for job in jobs if finished(job, place) is None]
    if not waiting:
        return
    os.environ["TQDM_DISABLE"] = "1"  # for the processes to come: their bars would write over each other
    with ProcessPoolExecutor(min(processes, len(waiting)), get_context("spawn"), _start, (place.home,)) as pool:
        running = {pool.submit(_perform, job, place): job for job in waiting}
        for future in as_completed(running):
            yield running[future], future.result()


def _start(home: Path) -> None:
    logging.basicConfig(level=logging.WARNING)
    use_small_input(home)


def _perform(job: Job, place: Place) -> float:
    started = time.monotonic()
    where = RunOptions(place.manifest, job.folder, place.cache, place.cache_bytes, workers=0, prepared=place.prepared)
    run(job.config, where, Group(0, 1, torch.device("cpu")))
    return time.monotonic() - started


def _molre(experts: int, rank: int) -> dict[str, Any]:
    return {"molre": True, "molre_experts": experts, "molre_rank": rank}
