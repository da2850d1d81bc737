"""How much memory a training step of LoRA and MoLRE needs, and how far recomputing chunks of slices brings it down.

    python benchmarks/training_memory.py [BACKBONE ...] [--input-px 448 448] [--slices 36] [--chunks 1 2 4 8] [--limit-gb 16] [--json OUT]

Nothing is computed: fake tensors go forward, and every tensor that autograd keeps for backward is counted once, by its storage, weights
left out. A 3D backbone is given one study, and nothing is recomputed. With checkpointing, a step keeps what lies outside the backbone, the
chunks' inputs and outputs, and the tensors of one chunk at a time. The peak is that, plus weights, gradients and AdamW's two moments in
float32; what an operation needs while it runs is not in it. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from tqdm import tqdm

from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.backbones.spec import BackboneSpec, NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier, adapted_classifier

GB = 1e9
ARITHMETIC = {"fp32": None, "bf16 autocast": torch.bfloat16}


def main() -> None:
    """Count for each backbone and print."""
    parser = argparse.ArgumentParser(description="Count the memory of a training step.")
    parser.add_argument("backbones", nargs="*", metavar="BACKBONE")
    parser.add_argument("--input-px", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--slices", type=int, default=36)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--limit-gb", type=float, default=16.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = tqdm(options.backbones or backbone_names(), desc="backbones", file=sys.stderr)
    report = {name: count(backbone_spec(name), options) for name in names}
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


def count(spec: BackboneSpec, options: argparse.Namespace) -> dict:
    """All figures of one backbone, in GB."""
    size = tuple(options.input_px) if options.input_px else spec.input_px
    with torch.device("meta"):
        classifier = adapted_classifier(NormalisedBackbone(spec, size), spec, len(finding_keys()))
    with FakeTensorMode(allow_non_fake_inputs=True):
        # Fake and not meta, because autocast goes by the device.
        classifier.to_empty(device="cpu").freeze_backbone()
        parameters = list(classifier.parameters())
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        weights = 4 * sum(parameter.numel() for parameter in parameters)
        # A gradient and two moments.
        fixed = weights + 12 * trained
        report: dict = {"input_px": size, "trained_m": round(trained / 1e6, 3), "weights_gb": gb(weights), "optimiser_gb": gb(12 * trained)}
        for name, dtype in ARITHMETIC.items():
            if spec.level == "volume":
                report[name] = {"peak_gb": gb(fixed + kept(classifier, spec, size, spec.depth or spec.grid.slices, dtype))}
                continue
            one = kept(classifier, spec, size, 1, dtype)
            whole = kept(classifier, spec, size, options.slices, dtype)
            # Inputs and outputs of the chunks together are the same, however they are cut.
            outside = kept(classifier, spec, size, options.slices, dtype, max(options.chunks))
            peaks = {}
            for chunk in options.chunks:
                inside = kept(classifier, spec, size, chunk, dtype)
                peaks[chunk] = {"chunk_gb": gb(inside), "peak_gb": gb(fixed + outside + inside)}
            fitting = [chunk for chunk, peak in peaks.items() if peak["peak_gb"] <= options.limit_gb]
            report[name] = {
                "one_slice_gb": gb(one),
                "all_slices_gb": gb(whole),
                "peak_without_checkpointing_gb": gb(fixed + whole),
                "outside_chunks_gb": gb(outside),
                "with_checkpointing": peaks,
                f"largest_chunk_within_{options.limit_gb:g}_gb": max(fitting, default=None),
            }
    return report


def kept(
    classifier: HeadCTClassifier,
    spec: BackboneSpec,
    size: tuple[int, int],
    slices: int,
    dtype: torch.dtype | None,
    chunk: int | None = None,
) -> int:
    """Bytes kept for backward after a study of so many slices went forward; with `chunk`, each chunk is recomputed instead."""
    classifier.checkpointing, classifier.chunk = chunk is not None, chunk or slices
    weights = {storage(tensor)._cdata for tensor in (*classifier.parameters(), *classifier.buffers())}
    # The storages themselves are held, or a later one could have the address of one that is gone.
    found: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if storage(tensor)._cdata not in weights:
            found[storage(tensor)._cdata] = storage(tensor)
        return tensor

    autocast = nullcontext() if dtype is None else torch.autocast("cpu", dtype)
    with saved_tensors_hooks(pack, lambda tensor: tensor), autocast:
        classifier(torch.empty(1, slices, len(spec.windows), *size)).logits.sum()
    return sum(one.nbytes() for one in found.values())


def storage(tensor: torch.Tensor) -> torch.UntypedStorage:
    """What a tensor and its views have in common."""
    return tensor.untyped_storage()


def gb(size: float) -> float:
    """Bytes in GB (1e9)."""
    return round(size / GB, 3)


if __name__ == "__main__":
    main()
