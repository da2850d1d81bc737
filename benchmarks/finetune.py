"""What a quick fine-tune costs: 500 corrections with 1,500 replayed studies on stored features, as the demo has them and as a ViT-B has.

    python benchmarks/finetune.py [--corrections 500] [--replay 1500] [--threads 1 2] [--dimensions 192 768] [--json OUT]

The whole learning with its default settings: the choice of the anchor's strength by cross-validation, and the fit. Features and labels are
random, of 36 slices for each study and findings at 10 %: what is learned from them is nothing, and takes as long as if it were something.
Each row is a process of its own, so that its peak memory is its own. A study-pass is one study going forward and backward once; those of a
second are of a second of processor time, which other work on the machine does not change much. Prints a table, and the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.classifier import adapted_classifier
from headct_molre.training.finetune import Examples, FineTuneConfig, choose_strength, fit
from headct_molre.training.run_record import peak_memory_gb

SLICES, PREVALENCE = 36, 0.1
BACKBONES = {192: "demo", 768: "dinov3_base", 1024: "dinov3_large"}
LIMIT_SECONDS, LIMIT_GB = 300.0, 4.0


def main() -> None:
    """Measure every row in its own process and print."""
    parser = argparse.ArgumentParser(description="Time quick fine-tuning.")
    parser.add_argument("--corrections", type=int, default=500)
    parser.add_argument("--replay", type=int, default=1500)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[192, 768], choices=sorted(BACKBONES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.dimensions[0], options.threads[0], options.corrections, options.replay)))
        return
    rows = []
    for dimension, threads in tqdm([(d, t) for d in options.dimensions for t in options.threads], desc="rows", disable=None):
        command = [sys.executable, __file__, "--row", "--dimensions", str(dimension), "--threads", str(threads)]
        command += ["--corrections", str(options.corrections), "--replay", str(options.replay)]
        rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    print("  d  threads  choice s   fit s   all s  processor s  study-passes/s/core  peak GB")
    for row in rows:
        print(
            f"{row['dimension']:>4}{row['threads']:>8}{row['choice_seconds']:>10.1f}{row['fit_seconds']:>8.1f}{row['seconds']:>8.1f}{row['processor_seconds']:>13.1f}"
            f"{row['studies_per_second_per_core']:>21.0f}{row['peak_gb']:>9.2f}"
        )
    within = all(row["seconds"] < LIMIT_SECONDS and row["peak_gb"] < LIMIT_GB for row in rows)
    print(f"below {LIMIT_SECONDS:g} s and {LIMIT_GB:g} GB: {'yes' if within else 'no'}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(dimension: int, threads: int, corrections: int, replayed: int) -> dict[str, float | int]:
    """One row; the backbone is only described, since no study passes through it."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    spec = backbone_spec(BACKBONES[dimension])
    with torch.device("meta"):
        backbone = NormalisedBackbone(spec)
    classifier = adapted_classifier(backbone, spec, len(finding_keys()), lora_rank=0).eval()
    torch.nn.init.normal_(classifier.head.weight, std=0.05)
    learn, replay = _examples(corrections, dimension), _examples(replayed, dimension)
    config = FineTuneConfig(threads=threads, replay_studies=replayed)
    started, busy = time.monotonic(), time.process_time()
    choice = choose_strength(classifier, learn, replay, np.arange(corrections), config)
    chosen = time.monotonic()
    fit(classifier, learn, replay, config, strength=choice.strength)
    ended, busy = time.monotonic(), time.process_time() - busy
    of_fold = corrections * (config.folds - 1) / config.folds + min(corrections, replayed)
    passes = len(config.strengths) * config.folds * config.choice_epochs * of_fold + config.epochs * (corrections + replayed)
    return {
        "dimension": dimension,
        "threads": threads,
        "choice_seconds": chosen - started,
        "fit_seconds": ended - chosen,
        "seconds": ended - started,
        "processor_seconds": busy,
        "studies_per_second_per_core": passes / busy,
        "peak_gb": peak_memory_gb(torch.device("cpu"))["process"],
    }


def _examples(studies: int, dimension: int) -> Examples:
    features = torch.randn(studies, SLICES, dimension).half()
    labels = (torch.rand(studies, len(finding_keys())) < PREVALENCE).float()
    return Examples(features, torch.ones(studies, SLICES, dtype=torch.bool), labels)


if __name__ == "__main__":
    main()
