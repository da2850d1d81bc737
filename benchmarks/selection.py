"""What it costs to choose the next studies: each strategy against a random draw, on one core and in one run.

    OMP_NUM_THREADS=1 python benchmarks/selection.py [--studies 72756] [--features 768] [--count 25] [--server]

Prints one JSON object: CPU milliseconds of each strategy, the best of a few runs, with all checks of the arrays, and how many random draws
that is. The arrays are random numbers: costs do not depend on what they say. With `--server`, a server of its own is asked for the next
study over HTTP, with as many studies in its folder and its store: what a reader waits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from headct_molre.findings import finding_keys
from headct_molre.selection import STRATEGIES, LinearHead, Pool, Votes, select

RUNS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time the choice of the next studies.")
    parser.add_argument("--studies", type=int, default=72_756)
    parser.add_argument("--features", type=int, default=768, help="dimension of a study's pooled feature")
    parser.add_argument("--count", type=int, default=25, help="how many studies are chosen")
    parser.add_argument("--read-twice", type=int, default=3000, help="studies that two readers have read")
    parser.add_argument("--server", action="store_true", help="time whole answers of a server, too")
    parser.add_argument("--requests", type=int, default=60, help="how often the server is asked for each strategy")
    options = parser.parse_args()
    arrays = random_arrays(options.studies, options.features, options.read_twice)
    milliseconds = {name: min(cost(name, arrays, options.count) for _ in range(RUNS)) * 1000 for name in STRATEGIES}
    result: dict[str, object] = {
        "studies": options.studies,
        "findings": len(finding_keys()),
        "features": options.features,
        "count": options.count,
        "cpu_ms": {name: round(value, 1) for name, value in milliseconds.items()},
        "times_random": {name: round(value / milliseconds["random"], 1) for name, value in milliseconds.items()},
    }
    if options.server:
        from selection_server import server_figures

        with tempfile.TemporaryDirectory() as folder:
            asked = options.studies, options.features, options.read_twice, options.requests
            result["server"] = server_figures(Path(folder), *asked)
    print(json.dumps(result, indent=2))


def random_arrays(studies: int, features: int, read_twice: int) -> dict[str, object]:
    """The arrays of a pool, with as many findings as the taxonomy has."""
    rng = np.random.default_rng(0)
    findings = len(finding_keys())
    read = np.sort(rng.choice(studies, min(read_twice, studies), replace=False))
    votes = 2 * len(read) * findings
    return {
        "probabilities": (rng.random((studies, findings), np.float32)) ** 4,
        "estimable": np.ones(findings, bool),
        "positives": rng.integers(0, 300, findings),
        "features": rng.standard_normal((studies, features), np.float32),
        "logits_of": LinearHead(rng.standard_normal((findings, features), np.float32) / 30, np.zeros(findings, np.float32)),
        "votes": Votes(np.repeat(read, 2 * findings), np.tile(np.arange(findings), 2 * len(read)), rng.integers(0, 3, votes)),
    }


def cost(name: str, arrays: dict[str, object], count: int) -> float:
    """CPU seconds from the arrays to the chosen studies with their reasons."""
    started = time.process_time()
    select(name, Pool(**arrays), count, np.random.default_rng(0))  # type: ignore[arg-type]
    return time.process_time() - started


if __name__ == "__main__":
    main()
