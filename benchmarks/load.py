"""Many readers on one server at once: is every request answered well, and `/info/` soon, while the device infers?

    python benchmarks/load.py [--clients 16] [--seconds 60] [--studies 40] [--registered 5000] [--postgres URL] [--json FILE]

A server of its own with the demo model serves `--studies` phantoms, which `--registered` files show again and again (hard links), so
that no reader runs out of studies. First the readers work for a third of the time without inferences, then for `--seconds` with them:
a quarter each of info, next study, submission and inference, without a pause. `--at-once` inferences are computed or wait at any time; who
comes beside them looks at a prediction that is stored. Prints a table in Markdown and the criteria. Exit status 1 when one is not met.

The clients share the machine with the server, so their times hold both; `server` is the 99th percentile by the server's own log. The
database at `--postgres` must be empty.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from load_readers import FULL, Images, Reader, study_name
from load_report import Inferring, Period, criteria, markdown, memory, period_figures
from load_server import WatchedServer

from headct_molre.data.phantom import write_cohort

IN_FOLDER = 1000
ALONE = 3  # inferences that are timed before anybody else works
REGISTER_LIMIT_S = 600


def main() -> int:
    """Run both periods, check what the server kept, print the table; 1 when a criterion is not met."""
    parser = argparse.ArgumentParser(description="Many readers on one server at once.")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--studies", type=int, default=40, help="phantoms, each a volume of its own")
    parser.add_argument("--registered", type=int, default=5000, help="studies that show them")
    parser.add_argument("--matrix", type=int, default=128, help="pixels of a slice's side")
    parser.add_argument("--at-once", type=int, default=4, help="inferences that are computed or wait at any time")
    parser.add_argument("--postgres", metavar="URL", help="an empty PostgreSQL database as the store")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = measure(Path(name), options)
    print(markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    failed = [criterion for criterion, met in report["criteria"].items() if not met]
    for criterion in failed:
        print(f"not met: {criterion}", file=sys.stderr)
    return 1 if failed else 0


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    phantoms = write_cohort(folder / "phantoms", options.studies, seed=6, matrix=options.matrix)
    show_again(phantoms, folder / "studies", options.registered)
    images = Images(phantoms, options.at_once)
    with WatchedServer(folder / "studies", folder / "server.log", options.postgres) as server:
        wait_for_studies(server.url, options.registered)
        readers = [Reader(f"reader-{number}", server.url, images) for number in range(options.clients)]
        readers[0].compute(study_name(0))  # loads the model
        with inferring(server) as alone:
            for number in range(1, ALONE + 1):
                readers[0].compute(study_name(number))
        quiet = period(server, readers, options.seconds / 3, inferences=False)
        loaded = period(server, readers, options.seconds, inferences=True)
        figures = {
            "cores": os.cpu_count(),
            "clients": options.clients,
            "studies": options.registered,
            "store": "PostgreSQL" if options.postgres else "SQLite",
            "quiet": period_figures(server, quiet),
            "loaded": period_figures(server, loaded),
            "inference_alone_s": alone.each_s,
            "memory": memory(server.moments, loaded),
            **what_was_kept(readers),
        }
    answers = [answer for reader in readers for answer in reader.answers]
    figures["asked_to_wait"] = sum(answer.code == FULL for answer in answers)
    figures["errors"] = dict(Counter(f"{answer.route}: {answer.code}" for answer in answers if answer.code not in ("", FULL)))
    figures["log_errors"] = server.bad_lines()  # also of its stop
    return figures | {"criteria": criteria(figures)}


def show_again(phantoms: Sequence[Path], studies: Path, count: int) -> None:
    """Fills the studies folder: study n shows phantom n modulo their number."""
    for number in range(count):
        path = studies / f"ward-{number // IN_FOLDER:03d}" / f"{study_name(number)}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(phantoms[number % len(phantoms)], path)


def wait_for_studies(url: str, count: int) -> None:
    """Returns when the server has registered all studies."""
    deadline = time.monotonic() + REGISTER_LIMIT_S
    while httpx.get(f"{url}/headct/studies", params={"limit": 1}, timeout=60).json()["total"] < count:
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not register its studies")
        time.sleep(1)


@contextmanager
def inferring(server: WatchedServer) -> Iterator[Inferring]:
    """Measures the inferences that begin and end inside `with`."""
    before = server.inferences()
    started = time.time()
    measured = Inferring()
    yield measured
    measured.wall_s = time.time() - started
    measured.count, measured.device_s = (now - then for now, then in zip(server.inferences(), before, strict=True))


def period(server: WatchedServer, readers: Sequence[Reader], seconds: float, inferences: bool) -> Period:
    """Lets the readers work, and measures who used the processors meanwhile."""
    marks = [len(reader.answers) for reader in readers]
    with inferring(server) as inferred, ThreadPoolExecutor(len(readers)) as pool:
        psutil.cpu_percent(None)
        began, client_s = time.time(), time.process_time()
        working = [pool.submit(reader.work, began + seconds, inferences) for reader in readers]
        time.sleep(seconds)
        machine = psutil.cpu_percent(None) / 100 * (os.cpu_count() or 1)
        client = (time.process_time() - client_s) / seconds
        for reader in working:
            reader.result()  # also what is still being inferred
    answers = [answer for reader, mark in zip(readers, marks, strict=True) for answer in reader.answers[mark:]]
    return Period(began, began + seconds, answers, inferred, machine, client)


def what_was_kept(readers: Sequence[Reader]) -> dict[str, int]:
    """How many submissions were acknowledged, how many of them are not in the store exactly once as they were sent, and what else is there;
    and how many studies, each of which needs one reader, were offered to two."""
    offers = Counter(study for reader in readers for study in set(reader.offered))
    sent = [document for reader in readers for document in reader.acknowledged]
    with ThreadPoolExecutor(4) as pool:
        stored = [document for documents in pool.map(readers[0].stored, offers) for document in documents]
    copies = Counter(json.dumps(document, sort_keys=True) for document in stored)
    lost = sum(copies[json.dumps(document, sort_keys=True)] != 1 for document in sent)
    return {
        "offered": len(offers),
        "offered_twice": sum(count > 1 for count in offers.values()),
        "acknowledged": len(sent),
        "not_stored_once": lost,
        "stored_unasked": len(stored) - len(sent),
    }


if __name__ == "__main__":
    sys.exit(main())
