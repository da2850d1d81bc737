"""Which number type should hold a prepared volume: size, time and what it costs in the demo model's output, in one run.

    python benchmarks/storage.py [STUDY...] [--phantoms 5]

Every candidate is compressed alike (blosc2: byte shuffle, zstd level 1) and compared with float32 HU. Prints one JSON object:
`bytes` on disk, `write_ms` and `read_ms` (up to the three windows as float32), largest and mean change of the 75 probabilities
and logits, and the largest error in a window of 40 HU, the narrowest of any backbone. Medians of five; sums and maxima over the studies.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import blosc2
import numpy as np
import torch

from headct_molre.data.phantom import write_cohort
from headct_molre.data.prepared_entry import compress
from headct_molre.findings import finding_keys, positions
from headct_molre.imaging.align import align
from headct_molre.imaging.prepare import averaged, prepare, windows
from headct_molre.imaging.read import read_study
from headct_molre.imaging.storage import as_stored
from headct_molre.models.backbones.spec import to_input
from headct_molre.models.checkpoint import load_classifier

Array = np.ndarray
# name: HU to what is stored, and back to the three windows
CANDIDATES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "hu float32": (lambda hu: hu, windows),
    "hu float16": (as_stored, lambda stored: windows(stored.astype(np.float32))),
    "hu int16": (lambda hu: np.round(hu).astype(np.int16), lambda stored: windows(stored.astype(np.float32))),
    "windows float16": (lambda hu: windows(hu).astype(np.float16), lambda stored: stored.astype(np.float32)),
    "windows uint8": (lambda hu: np.round(windows(hu) * 255).astype(np.uint8), lambda stored: stored.astype(np.float32) / np.float32(255)),
}
STROKE_WINDOW_HU = (20.0, 60.0)


def main() -> None:
    """Measure every candidate on every study and print the table."""
    parser = argparse.ArgumentParser(description="Compare number types for prepared volumes.")
    parser.add_argument("studies", type=Path, nargs="*")
    parser.add_argument("--phantoms", type=int, default=5, help="synthetic studies to add")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = list(options.studies)
        if options.phantoms:
            paths += write_cohort(Path(folder) / "phantoms", options.phantoms, seed=3)
        volumes = [unrounded(path) for path in paths]
        outputs = {name: [measure(hu, *candidate, Path(folder) / "entry") for hu in volumes] for name, candidate in CANDIDATES.items()}
    model = DemoModel()
    reference = [model.logits(rows["windows"]) for rows in outputs["hu float32"]]
    report = {name: summary(rows, [model.logits(row["windows"]) for row in rows], reference) for name, rows in outputs.items()}
    report["hu float16"] |= {"stroke_window_error": stroke_error(volumes, CANDIDATES["hu float16"][0])}
    report["hu int16"] |= {"stroke_window_error": stroke_error(volumes, CANDIDATES["hu int16"][0])}
    print(json.dumps({"studies": len(paths), "slices": sum(len(hu) for hu in volumes), "candidates": report}, indent=2))


def unrounded(path: Path) -> Array:
    """The prepared volume (S, 256, 256) float32 before it is rounded to any type."""
    volume = read_study(path)
    prepared = prepare(volume, align(volume).standard_from_ras)
    return averaged(volume, prepared.model_to_ras, range(len(prepared.hu)))


def measure(hu: Array, encode: Callable[[Array], Array], decode: Callable[[Array], Array], path: Path) -> dict:
    """Bytes, write and read milliseconds of one volume as one candidate, and the windows that come back."""
    writes, reads = [], []
    for _ in range(5):
        started = time.perf_counter()
        stored = encode(hu)
        path.write_bytes(compress(stored))
        writes.append(time.perf_counter() - started)
        started = time.perf_counter()
        back = decode(np.frombuffer(blosc2.decompress2(path.read_bytes()), stored.dtype).reshape(stored.shape))
        reads.append(time.perf_counter() - started)
    return {"bytes": path.stat().st_size, "write_ms": 1000 * np.median(writes), "read_ms": 1000 * np.median(reads), "windows": back}


class DemoModel:
    """The shipped demo model as a function from windows to 75 calibrated logits."""

    def __init__(self) -> None:
        self.classifier, self.card, self.spec = load_classifier("demo")
        self.order = positions(finding_keys(), within=self.card.findings)

    def logits(self, windowed: Array) -> Array:
        """Windows (S, 3, H, W) -> logits (75,) in taxonomy order; 0 where the model never learned the finding."""
        with torch.inference_mode():
            output = self.classifier(to_input(self.spec, torch.from_numpy(windowed))[None])
        raw = (output.evidence[0].double().sum(1) + output.bias[0].double()).numpy()[self.order]
        scales = [self.card.calibration.get(key) for key in finding_keys()]
        return np.array([value if s is None else s.slope * value + s.intercept for value, s in zip(raw, scales, strict=True)])


def summary(rows: list[dict], logits: list[Array], reference: list[Array]) -> dict:
    """One line of the table."""
    change = np.abs(np.array(logits) - np.array(reference))
    probability = np.abs(sigmoid(np.array(logits)) - sigmoid(np.array(reference)))
    return {
        "bytes": sum(row["bytes"] for row in rows),
        "write_ms": round(float(np.mean([row["write_ms"] for row in rows])), 1),
        "read_ms": round(float(np.mean([row["read_ms"] for row in rows])), 1),
        "probability_max": float(f"{probability.max():.2g}"),
        "probability_mean": float(f"{probability.mean():.2g}"),
        "logit_max": float(f"{change.max():.2g}"),
        "logit_mean": float(f"{change.mean():.2g}"),
    }


def stroke_error(volumes: list[Array], encode: Callable[[Array], Array]) -> float:
    """Largest error in 0..1 of a 40 HU window cut from what was stored."""
    low, high = STROKE_WINDOW_HU
    errors = [np.abs(np.clip(encode(hu).astype(np.float32), low, high) - np.clip(hu, low, high)).max() / (high - low) for hu in volumes]
    return float(f"{max(errors):.2g}")


def sigmoid(logits: Array) -> Array:
    """Probabilities of logits."""
    return 1 / (1 + np.exp(-logits))


if __name__ == "__main__":
    main()
