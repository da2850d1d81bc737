"""Throughput of a backbone on a GPU; a part of forward.py."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from headct_molre.models.backbones.spec import BackboneSpec, NormalisedBackbone
from headct_molre.models.engines import run_on, usable_engines
from headct_molre.models.engines.apply import synthetic_study

BATCHES = {"slice": (1, 8, 16, 32, 64, 128, 256), "volume": (1, 2, 4, 8)}
COHORT, STUDY_SLICES = 72_756, 36
# Engine and what float32 matrix products are made of.
MODES = {"fp32": ("torch-fp32", "highest"), "tf32": ("torch-fp32", "high"), "bf16": ("torch-bf16", "highest")}


def throughput(backbone: NormalisedBackbone, spec: BackboneSpec, device: str, repeats: int) -> dict:
    """For each arithmetic: the best batch, slices (or studies) a second with it, peak memory, and hours for the cohort."""
    modes = {}
    for mode, (engine, precision) in MODES.items():
        if engine in usable_engines(device):
            torch.set_float32_matmul_precision(precision)
            modes[mode] = best(run_on(engine, backbone, spec, device), backbone.input_px, spec, device, repeats)
            torch.set_float32_matmul_precision("highest")
    return {"modes": modes}


def best(run: nn.Module, input_px: tuple[int, int], spec: BackboneSpec, device: str, repeats: int) -> dict:
    """All batches up to the largest that fits, and the fastest."""
    cuda = device.startswith("cuda")
    rates: dict[int, float] = {}
    peaks: dict[int, int] = {}
    for batch in BATCHES[spec.level]:
        if cuda:
            torch.cuda.reset_peak_memory_stats(device)
        try:
            rates[batch] = batch / seconds(run, inputs(spec, input_px, batch, device), device, repeats)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        if cuda:
            peaks[batch] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    if not rates:
        return {"too_large": "a batch of one does not fit"}
    batch = max(rates, key=rates.__getitem__)
    units = COHORT * (STUDY_SLICES if spec.level == "slice" else 1)
    return {
        "best_batch": batch,
        "per_second": round(rates[batch], 2),
        "cohort_hours": round(units / rates[batch] / 3600, 2),
        "by_batch": {batch: round(rate, 2) for batch, rate in rates.items()},
        "peak_mb": peaks.get(batch),
    }


def inputs(spec: BackboneSpec, input_px: tuple[int, int], batch: int, device: str) -> tuple[torch.Tensor, ...]:
    """A batch of slices, or of studies, on the device."""
    if spec.level == "slice":
        return (synthetic_study(spec, input_px, device, batch)[0][0],)
    slices, mask = synthetic_study(spec, input_px, device)
    return slices.expand(batch, *slices.shape[1:]).contiguous(), mask.expand(batch, -1)


def seconds(run: nn.Module, given: tuple[torch.Tensor, ...], device: str, repeats: int) -> float:
    """Median seconds of one batch, after one that is not counted."""
    taken = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            _wait(device)
            started = time.perf_counter()
            run(*given)
            _wait(device)
            taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
