"""How fast a server ranks its studies anew after a promotion, and whether anybody notices.

    OMP_NUM_THREADS=1 python benchmarks/rescoring.py [--studies 72756] [--slices 36] [--json FILE]

A server of its own with the demo model (192 features a slice), a store of that many predicted studies and a file of slice features for each
(random numbers, 64 different ones). A version with another head is promoted over HTTP. Meanwhile, and before and after it, questions for
`/info/` and for the next study are timed. Exit status 1 where not all studies were ranked anew.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from load_server import WatchedServer
from selection_server import make_store

from headct_molre.data.feature_cache import FeatureCache, version_backbone_sha256
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import champion_folder, load_card, version_input_px, write_version
from headct_molre.models.weights import read_tensors
from headct_molre.schema import ModelCard

MODEL, HOSPITAL = "demo", 72_756
DIFFERENT = 64
PERIOD_S, LIMIT_S = 20.0, 900.0


def main() -> int:
    """Measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description="Studies ranked anew after a promotion.")
    parser.add_argument("--studies", type=int, default=HOSPITAL)
    parser.add_argument("--slices", type=int, default=36)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = measure(Path(name), options.studies, options.slices)
    print("| request | before | meanwhile | after |\n| --- | --- | --- | --- |")
    for request in ("info", "next"):
        print(f"| {request} | " + " | ".join(_figures(report[period][request]) for period in ("before", "meanwhile", "after")) + " |")
    print("Median (95th percentile, maximum), milliseconds.")
    rate = report["studies_per_s"]
    print(f"{report['rescored']:,} studies in {report['seconds']:.1f} s: {rate:.0f} a second, {HOSPITAL:,} in {HOSPITAL / rate:.0f} s.")
    print(f"The new version ranked after {report['first_ranked_s']:.1f} s; {report['cpu_ms']:.2f} ms of processor time a study.")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return int(report["rescored"] != options.studies)


def measure(folder: Path, studies: int, slices: int) -> dict[str, Any]:
    """Seconds of every request by period, and of the whole."""
    os.environ["HEADCT_MOLRE_HOME"] = str(folder / "home")  # the server inherits it
    card = load_card(MODEL)
    spec = backbone_spec(card.backbone)
    make_store(folder / "studies", card, studies, spec.dimension, read_twice=0)
    cache = FeatureCache(
        folder / "studies" / ".headct" / "features", spec, version_backbone_sha256(card), version_input_px(card, spec), "bench"
    )
    make_features(cache, studies, slices, spec.dimension)
    new = tuned(folder / "home", card)
    with WatchedServer(folder / "studies", folder / "server.log", None) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        while "Ranked by" not in _next(http)["why"]:
            time.sleep(0.2)
        spent = server.processor_s()
        report: dict[str, Any] = {"before": _period(http, PERIOD_S)}
        of_round = (server.processor_s() - spent) / len(report["before"]["info"])  # the processor time of the questions themselves
        spent, began = server.processor_s(), time.perf_counter()
        http.post(f"/headct/models/{MODEL}/promote", json={"version": new, "reason": "benchmark"}).raise_for_status()
        meanwhile: dict[str, list[float]] = {"info": [], "next": []}
        first = None
        while _rescored(http) < studies and time.perf_counter() - began < LIMIT_S:
            _ask(http, meanwhile)
            if first is None and f"Ranked by {MODEL} {new}" in _next(http)["why"]:
                first = time.perf_counter() - began
        seconds = time.perf_counter() - began
        cpu = server.processor_s() - spent - of_round * len(meanwhile["info"])
        report |= {"meanwhile": meanwhile, "rescored": _rescored(http), "after": _period(http, PERIOD_S)}
    return report | {
        "seconds": seconds,
        "first_ranked_s": first,
        "studies_per_s": report["rescored"] / seconds,
        "cpu_ms": cpu / report["rescored"] * 1000,
    }


def make_features(cache: FeatureCache, studies: int, slices: int, dimension: int) -> None:
    """A file for each study."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(slices, dtype=torch.bool)
    for number in range(min(DIFFERENT, studies)):
        cache.put(f"{number:064x}", torch.randn(slices, dimension, generator=generator), mask)
    files = [cache.path(f"{number:064x}").read_bytes() for number in range(min(DIFFERENT, studies))]
    for number in range(len(files), studies):
        cache.path(f"{number:064x}").write_bytes(files[number % DIFFERENT])


def tuned(home: Path, card: ModelCard) -> str:
    """The name of a version with the same backbone and another head, which is not served yet."""
    state = read_tensors(champion_folder(MODEL) / "weights.safetensors")
    generator = torch.Generator().manual_seed(0)
    state["head.weight"] = state["head.weight"] + 0.05 * torch.randn(state["head.weight"].shape, generator=generator)
    write_version(home / "models" / MODEL, card.model_copy(update={"version": "tuned", "parent": card.version}), state)
    return "tuned"


def _period(http: httpx.Client, seconds: float) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {"info": [], "next": []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        _rescored(http)  # as meanwhile
        _ask(http, took)
    return took


def _ask(http: httpx.Client, took: dict[str, list[float]]) -> None:
    began = time.perf_counter()
    http.get("/info/").raise_for_status()
    took["info"].append(time.perf_counter() - began)
    began = time.perf_counter()
    _next(http)
    took["next"].append(time.perf_counter() - began)
    time.sleep(0.02)


def _next(http: httpx.Client) -> dict[str, Any]:
    answer = http.post("/activelearning/rarity_entropy", json={"client_id": "anna", "another": True})
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


def _rescored(http: httpx.Client) -> int:
    lines = http.get("/headct/metrics").text.splitlines()
    return int(next((float(line.rpartition(" ")[2]) for line in lines if line.startswith("headct_rescored_studies_total{")), 0))


def _figures(seconds: list[float]) -> str:
    if not seconds:
        return ""
    median, worst, most = np.percentile(seconds, [50, 95, 100]) * 1000
    return f"{median:.0f} ({worst:.0f}, {most:.0f})"


if __name__ == "__main__":
    raise SystemExit(main())
