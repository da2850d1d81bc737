"""Does a training make inference fail, or slow? The same requests to one server, without and with a training beside them.

    python benchmarks/inference_while_training.py [--inferences 15] [--corrections 40] [--json FILE]

A server of its own with the demo model. Readings of phantoms are stored, and a training is started that is made long enough. Then new
studies (one phantom with another last voxel each) are predicted one after the other, with a question for `/info/` after each: in turn while
the training stands still and while it works, so that whatever else the machine does weighs on both alike. Exit status 1 where a request
failed, or where the training ended too early to tell.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from load_server import WatchedServer

from headct_molre.data.phantom import make_phantom, write_study

FIRST_SEED = 10**11
MODEL = "demo"
LONG_TRAINING = {"epochs": 1_000_000, "strengths": [16.0], "minimum_corrections": 2}


def main() -> int:
    """Measure both, print a table in Markdown."""
    parser = argparse.ArgumentParser(description="Inference without and with a training beside it.")
    parser.add_argument("--inferences", type=int, default=15)
    parser.add_argument("--corrections", type=int, default=40)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = measure(Path(name), options.inferences, options.corrections)
    print("| request | alone | while training |\n| --- | --- | --- |")
    for name in ("inference", "info"):
        alone, beside = (report[period][name] for period in ("alone", "training"))
        print(f"| {name} | {_figures(alone)} | {_figures(beside)} |")
    print(f"Median (95th percentile), seconds; {report['failed']} of {report['requests']} requests failed.")
    print(f"The training process held {report['memory_mb']} MB, at niceness {report['niceness']}.")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return int(report["failed"] > 0 or not report["training_ran"])


def measure(folder: Path, inferences: int, corrections: int) -> dict[str, Any]:
    """Seconds of every request, {"alone": {...}, "training": {...}}, and what else is to be known."""
    os.environ["HEADCT_MOLRE_HOME"] = str(folder / "home")
    studies = folder / "studies"
    studies.mkdir()
    truth = {}
    for number in range(1, corrections + 1):
        phantom = make_phantom(FIRST_SEED + number, 128)
        write_study(phantom, studies / f"case-{number:03d}.nii.gz")
        truth[f"case-{number:03d}"] = phantom.states
    volume = bytearray(gzip.decompress((studies / "case-001.nii.gz").read_bytes()))
    with WatchedServer(studies, folder / "log.txt", None) as server, httpx.Client(base_url=server.url, timeout=600) as http:
        http.post(f"/batch/infer/{MODEL}", params={"run_sync": True}).raise_for_status()
        for study, states in truth.items():
            document = {"submission_id": str(uuid.uuid4()), "study": study, "reader": "anna", "model": None, "findings": states}
            http.post("/headct/submissions", json=document).raise_for_status()
        job = http.post(f"/train/{MODEL}", json=LONG_TRAINING).raise_for_status().json()["id"]
        while (state := http.get(f"/headct/jobs/{job}").json())["progress"].get("stage") != "training" and state["state"] != "failed":
            time.sleep(0.2)
        process = psutil.Process(int((studies / ".headct" / "jobs" / job / "process").read_text().rsplit("/", 2)[1]))
        report: dict[str, Any] = {"alone": _nothing(), "training": _nothing()}
        for number in range(1, inferences + 1):
            process.suspend()
            _ask(http, studies, volume, 2 * number, report["alone"])
            process.resume()
            _ask(http, studies, volume, 2 * number + 1, report["training"])
        report["memory_mb"], report["niceness"] = process.memory_info().rss // 1_000_000, process.nice()
        report["training_ran"] = http.get(f"/headct/jobs/{job}").json()["state"] == "running"
        http.delete(f"/headct/jobs/{job}").raise_for_status()
    periods = (report["alone"], report["training"])
    report["failed"] = sum(period["failed"] for period in periods)
    report["requests"] = sum(len(period["inference"]) + len(period["info"]) for period in periods)
    return report


def _nothing() -> dict[str, Any]:
    return {"inference": [], "info": [], "failed": 0}


def _ask(http: httpx.Client, studies: Path, volume: bytearray, number: int, found: dict[str, Any]) -> None:
    """Predicts a new study, and asks for `/info/`."""
    volume[-2:] = number.to_bytes(2, "little")
    (studies / f"new-{number:03d}.nii.gz").write_bytes(gzip.compress(bytes(volume), 1))
    for name, method, path in (("inference", "POST", f"/infer/{MODEL}?image=new-{number:03d}"), ("info", "GET", "/info/")):
        began = time.perf_counter()
        answer = http.request(method, path)
        found[name].append(time.perf_counter() - began)
        found["failed"] += answer.status_code != 200


def _figures(seconds: list[float]) -> str:
    return f"{np.median(seconds):.3f} ({np.percentile(seconds, 95):.3f})"


if __name__ == "__main__":
    sys.exit(main())
