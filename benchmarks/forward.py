"""How long a backbone takes for one study on each engine, how far that is from what the processor can do, and from a plain loop.

    python benchmarks/forward.py [BACKBONE ...] [--engines torch-bf16 ...] [--input-px 224 224] [--slices 36] [--repeats 5]
                                 [--naive-slices 4] [--device cpu] [--json OUT] [--png OUT.png]

Weights are random, with LayerScale 1. Engines, the plain loop (one slice at a time, eager, float32 at torch's default precision) and a
matrix product of 2048 x 2048 x 2048 are timed in turn, `--repeats` times; medians are given. With fewer `--slices` than 36 the time is
scaled to 36; a 3D backbone is given one study. Operations are counted on the meta device. Peak memory is that of a process of its own
for each engine. On a GPU: slices a second at the best batch in fp32, tf32 and bf16, and hours for a cohort. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from forward_gpu import throughput
from forward_plot import draw
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.backbones.spec import BackboneSpec, NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.models.engines import REFERENCE, chunk_of, run_on, usable_engines
from headct_molre.models.engines.apply import synthetic_study
from headct_molre.models.engines.torch_engine import fast_float32

STUDY_SLICES = 36
MATRIX = 2048
NAIVE = "plain loop"


def main() -> None:
    """Measure each backbone in a process of its own, print, write and draw."""
    parser = argparse.ArgumentParser(description="Time the backbones on their engines.")
    parser.add_argument("backbones", nargs="*", default=backbone_names(), metavar="BACKBONE")
    parser.add_argument("--engines", nargs="+", help="default: all that this machine can run")
    parser.add_argument("--input-px", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="default: the backbone's on this device")
    parser.add_argument("--slices", type=int, default=STUDY_SLICES, help="slices that are timed")
    parser.add_argument("--naive-slices", type=int, default=4, help="slices of the plain loop; 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.engines = options.engines or usable_engines(options.device)
    if options.one or options.memory:
        print(json.dumps(memory(options) if options.memory else measure(options), allow_nan=False))
        return
    report: dict[str, object] = {"machine": machine(options.device), "backbones": {}}
    for name in tqdm(options.backbones, desc="backbones", file=sys.stderr):
        result = in_own_process(name, options, "--one")
        if options.device == "cpu":
            for engine in options.engines:
                result["engines"][engine] |= in_own_process(name, options, "--memory", "--engines", engine)
        report["backbones"][name] = result  # type: ignore[index]
        # Written after each, because the large ones take their time.
        if options.json:
            options.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if options.png:
        draw(report, options.png)
    print(json.dumps(report, indent=2, allow_nan=False))


def in_own_process(name: str, options: argparse.Namespace, *more: str) -> dict:
    """`measure` or `memory` of one backbone in a fresh process."""
    numbers = ["--slices", options.slices, "--naive-slices", options.naive_slices, "--repeats", options.repeats, "--device", options.device]
    size = ["--input-px", *options.input_px] if options.input_px else []
    command = [sys.executable, __file__, name, "--engines", *options.engines, *numbers, *size, *more]
    return json.loads(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout)


def measure(options: argparse.Namespace) -> dict:
    """All of one backbone but its memory."""
    spec = backbone_spec(options.backbones[0])
    backbone, size = random_backbone(spec, options)
    classifier = HeadCTClassifier(backbone, spec, len(finding_keys())).to(options.device).eval().requires_grad_(False)
    report: dict = {
        "input_px": size,
        "parameters_m": round(sum(parameter.numel() for parameter in backbone.parameters()) / 1e6, 1),
        "gflop": round(count_flop(spec, size) / 1e9, 1),
        "of": "slice" if spec.level == "slice" else "study",
    }
    if options.device != "cpu":
        return report | throughput(backbone, spec, options.device, options.repeats)
    slices, mask = synthetic_study(spec, size, slices=options.slices if spec.level == "slice" else None)
    per_study = 1 if spec.level == "volume" else STUDY_SLICES / options.slices
    given = (slices[0],) if spec.level == "slice" else (slices, mask)
    runs, builds = {}, {}
    for name in options.engines:
        started = time.perf_counter()
        runs[name] = in_chunks(run_on(name, backbone, spec, "cpu"), given, chunk_of(name, "cpu"))
        builds[name] = time.perf_counter() - started
    reference = in_chunks(run_on(REFERENCE, backbone, spec, "cpu"), given, chunk_of(REFERENCE, "cpu"))()
    # Which of nearly equal tokens is the largest, and so to which part it goes, may change with every rounding; the feature does not.
    pooled = reference.sum(1) if spec.level == "volume" else reference
    outputs = {name: run().sum(1) if spec.level == "volume" else run() for name, run in runs.items()}
    timed: dict[str, Callable[[], object]] = dict(runs)
    timed["MoLRE, pooling and head"] = lambda: classifier.classify(reference if spec.level == "volume" else reference[None], mask)
    timed |= {"fp32 peak": matrix_product(torch.float32), "bf16 peak": matrix_product(torch.bfloat16)}
    naive_part = 1.0
    if options.naive_slices:
        part = given if spec.level == "volume" else (slices[0, : options.naive_slices],)
        naive_part = 1.0 if spec.level == "volume" else STUDY_SLICES / len(part[0])
        timed[NAIVE] = in_chunks(backbone, part, 1)
    seconds = in_turn(timed, options.repeats)
    peaks = {precision: 2 * MATRIX**3 / seconds[f"{precision} peak"] / 1e9 for precision in ("fp32", "bf16")}
    gflop_study = report["gflop"] * (STUDY_SLICES if spec.level == "slice" else 1)
    classify = seconds["MoLRE, pooling and head"]
    report |= {"peak_gflop_s": {name: round(value) for name, value in peaks.items()}, "classify_s": round(classify, 5), "engines": {}}
    if NAIVE in timed:
        report[NAIVE] = {"s_per_study": round(seconds[NAIVE] * naive_part, 3), "slices_timed": len(part[0])}
    for name in options.engines:
        s = seconds[name] * per_study
        peak = peaks["bf16" if "bf16" in name else "fp32"]
        report["engines"][name] = {
            "s_per_study": round(s, 3),
            "build_s": round(builds[name], 2),
            "gflop_s": round(gflop_study / s),
            "of_peak": round(gflop_study / s / peak, 3),
            "classify_share": round(classify / (classify + s), 5),
            "relative_difference": float(f"{((outputs[name] - pooled).norm() / pooled.norm()).item():.2g}"),
        }
        if NAIVE in timed:
            report["engines"][name]["naive_to_this"] = round(seconds[NAIVE] * naive_part / s, 2)
    if spec.level == "slice":
        report["slices_timed"] = options.slices
    return report


def memory(options: argparse.Namespace) -> dict:
    """Peak MB of a process that loads one backbone, runs one engine on two chunks, and keeps nothing else."""
    spec, engine = backbone_spec(options.backbones[0]), options.engines[-1]
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    backbone, size = random_backbone(spec, options)
    chunk = chunk_of(engine, "cpu")
    slices, mask = synthetic_study(spec, size, slices=2 * chunk if spec.level == "slice" else None)
    run = run_on(engine, backbone, spec, "cpu")
    del backbone
    in_chunks(run, (slices[0],) if spec.level == "slice" else (slices, mask), chunk)()
    return {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), "peak_mb_before": round(imported), "chunk": chunk}


def random_backbone(spec: BackboneSpec, options: argparse.Namespace) -> tuple[NormalisedBackbone, tuple[int, int]]:
    """The backbone with random weights that are felt at every layer: LayerScale as it is initialised hides every difference.

    So does a matrix that is zero until its weights are loaded.
    """
    torch.manual_seed(0)
    size = tuple(options.input_px) if options.input_px else spec.input_px_on(options.device)
    backbone = NormalisedBackbone(spec, size).eval().requires_grad_(False)
    for name, parameter in backbone.named_parameters():
        if "gamma" in name:
            parameter.fill_(1)
        elif parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=len(parameter) ** -0.5)
    return backbone.to(options.device), size


def in_chunks(run: nn.Module, given: tuple[torch.Tensor, ...], chunk: int) -> Callable[[], torch.Tensor]:
    """A whole study on an engine, slices in chunks; a 3D backbone takes it at once."""

    def whole() -> torch.Tensor:
        with torch.inference_mode():
            return run(*given) if len(given) == 2 else torch.cat([run(part) for part in given[0].split(chunk)])

    return whole


def matrix_product(dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    """The largest share of its peak that this processor gives a matrix product."""
    a, b = torch.rand(MATRIX, MATRIX).to(dtype), torch.rand(MATRIX, MATRIX).to(dtype)

    def product() -> torch.Tensor:
        with fast_float32():
            return a @ b

    return product


def in_turn(timed: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, all of them once in each turn, so that what disturbs the machine disturbs them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, run in timed.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def count_flop(spec: BackboneSpec, size: tuple[int, int]) -> int:
    """Operations of one slice, or of one study of a 3D backbone; a multiplication and an addition are two."""
    channels, depth = len(spec.windows), spec.depth or spec.grid.slices
    with torch.device("meta"):
        backbone = NormalisedBackbone(spec, size).eval().requires_grad_(False)
        given = (torch.empty(1, channels, *size),)
        if spec.level == "volume":
            given = (torch.empty(1, depth, channels, *size), torch.ones(1, depth, dtype=torch.bool))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone(*given)
    return counter.get_total_flops()


def machine(device: str) -> dict[str, object]:
    """What the figures were measured on."""
    packages: dict[str, str | None] = {}
    for package in ("torch", "timm", "openvino"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    processor = torch.cuda.get_device_name(device) if device.startswith("cuda") else capabilities.get("cpu_name")
    return {"processor": processor, "threads": torch.get_num_threads(), "cores": os.cpu_count(), **packages}


if __name__ == "__main__":
    main()
