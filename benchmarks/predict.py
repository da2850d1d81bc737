"""How long `headct-molre predict` takes: each stage, and a repeat from the cache as a ratio to the first time, in one run.

    python benchmarks/predict.py PATH [--model demo]

Prints one JSON object. Times are of whole processes, as a user waits for them, and of the stages inside the first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Run `predict` three times on one study with a cache of its own and print seconds and ratios."""
    parser = argparse.ArgumentParser(description="Time predict on one study.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "prediction.json"
        command = [sys.executable, "-m", "headct_molre.cli", "predict", str(options.path), "--model", options.model, "--json", str(output)]
        environment = {**os.environ, "HEADCT_MOLRE_CACHE": str(Path(folder) / "cache")}
        first = seconds(command, environment)
        stages = json.loads(output.read_text(encoding="utf-8"))["timing_ms"]
        repeats = [seconds(command, environment) for _ in range(3)]
    report = {
        "first_s": round(first, 2),
        "stages_ms": stages,
        "repeat_s": [round(value, 2) for value in repeats],
        "repeat_to_first": round(sorted(repeats)[1] / first, 3),
    }
    print(json.dumps(report, indent=2))


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Wall time of a process that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
