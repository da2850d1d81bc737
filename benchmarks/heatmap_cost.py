"""What a heat map costs for each backbone at its real size, with random weights: CPU seconds and peak memory of the process.

    python benchmarks/heatmap_cost.py dinov3_base [--slices 36] [--shown 8] [--input 224 224]

Prints one JSON object. The gradients of one step are timed and multiplied by the steps; "features" is the one pass over the whole study
that comes before. Seconds are of the processor, all threads together, so that a busy machine does not change them much.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch

from headct_molre.explain.probe import Probe
from headct_molre.explain.relevance import STEPS
from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.classifier import adapted_classifier
from headct_molre.models.engines.apply import synthetic_study
from headct_molre.models.lora import merge_lora


def main() -> None:
    """Time the parts of one heat map."""
    parser = argparse.ArgumentParser(description="CPU seconds of a heat map.")
    parser.add_argument("model", choices=backbone_names())
    parser.add_argument("--slices", type=int, default=36)
    parser.add_argument("--shown", type=int, default=8)
    parser.add_argument("--input", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    spec = backbone_spec(options.model)
    backbone = NormalisedBackbone(spec, tuple(options.input) if options.input else spec.input_px_on("cpu"))
    classifier = adapted_classifier(backbone, spec, len(finding_keys())).eval().requires_grad_(False)
    merge_lora(classifier.backbone)
    torch.nn.init.normal_(classifier.head.weight)
    windows, mask = synthetic_study(spec, classifier.input_px, slices=options.slices if spec.level == "slice" else None)

    probe = Probe.__new__(Probe)  # from windows at hand, where a study has HU
    probe.classifier, probe.row, probe.slope, probe.windows, probe.mask = classifier, 0, 1.0, windows[0], mask[0]
    started = time.process_time()
    with torch.no_grad():
        probe.features = classifier.features(windows, mask)
    features = time.process_time() - started
    slices = torch.arange(options.shown if probe.moves_alone() else len(probe.windows))
    started = time.process_time()
    probe.gradient(probe.windows[slices], slices)
    step = time.process_time() - started
    report = {
        "model": options.model,
        "input_px": list(classifier.input_px),
        "features_s": round(features, 1),
        "gradients_s": round(step * STEPS, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
