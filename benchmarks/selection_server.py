"""A store and a studies folder as large as a hospital's, and how long a server takes to answer which study comes next."""

from __future__ import annotations

import json
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import torch
from load_server import WatchedServer
from sqlalchemy import insert

from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.data.store.tables import STUDIES, SUBMISSIONS, SUMMARIES
from headct_molre.findings import finding_keys
from headct_molre.imaging import PREPARATION_VERSION
from headct_molre.models.checkpoint import load_card, set_champion, write_version
from headct_molre.schema import ModelCard, Submission
from headct_molre.selection import STRATEGIES

IN_FOLDER, IN_PART = 1000, 2000
NOBODY_READS = b"volume"
WARM_LIMIT_S = 120


def server_figures(folder: Path, studies: int, features: int, read_twice: int, requests: int) -> dict[str, object]:
    """Milliseconds of each strategy over HTTP: `median_ms` and `p95_ms` as the client waits, `cpu_ms` of the server's processor.

    `seconds_until_ranked` after the server answers, and the largest resident memory of the server in MB.
    """
    os.environ["HEADCT_MOLRE_HOME"] = str(folder / "home")  # the server inherits it
    card = install_version(folder / "home" / "models" / "demo", features)
    make_store(folder / "studies", card, studies, features, read_twice)
    with WatchedServer(folder / "studies", folder / "server.log", None) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        first = _first_ranked(http)
        figures = {name: _timed(server, http, name, requests) for name in STRATEGIES}
        memory = max(moment.resident_mb for moment in server.moments)
    return {"requests": requests, "seconds_until_ranked": round(first, 1), "strategies": figures, "server_mb": round(memory)}


def install_version(model: Path, features: int) -> ModelCard:
    """A champion of the demo model whose head takes features of this dimension; nobody predicts with it."""
    rng = torch.Generator().manual_seed(0)
    head = {"head.weight": torch.randn(len(finding_keys()), features, generator=rng) / 30, "head.bias": torch.zeros(len(finding_keys()))}
    card = load_card("demo").model_copy(update={"version": "benchmark"})
    card = write_version(model, card, head)
    set_champion(model, card.version)
    return card


def make_store(folder: Path, card: ModelCard, studies: int, features: int, read_twice: int) -> None:
    """Studies with files that are no volumes, predictions of a version in the store, and two readings of some, which need a third."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    at_ns = time.time_ns() - 10**12  # a file that was written just now may still be copied
    store = StudyStore(sqlite_url(folder / ".headct" / "store.sqlite"))
    now = datetime.now(UTC).replace(tzinfo=None)
    read = set(rng.choice(studies, min(read_twice, studies), replace=False).tolist())
    for start in range(0, studies, IN_PART):
        numbers = range(start, min(start + IN_PART, studies))
        rows, summaries = [], []
        probabilities = (rng.random((len(numbers), len(finding_keys())), np.float32)) ** 4
        vectors = rng.standard_normal((len(numbers), features), np.float32).astype("<f2")
        for place, number in enumerate(numbers):
            path = f"{number // IN_FOLDER:03d}/study-{number:06d}.nii.gz"
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(NOBODY_READS)
            os.utime(folder / path, ns=(at_ns, at_ns))
            readings = 2 * (number in read)
            rows.append(
                {
                    "study": f"study-{number:06d}",
                    "added_at": now,
                    "info": {},
                    "path": path,
                    "format": "nifti",
                    "fingerprint": f"{len(NOBODY_READS)}:{at_ns}",
                    "present": True,
                    "content_sha256": f"{number:064x}",
                    "shuffle": float(rng.random()),
                    "readers_required": readings + 1,
                    "readings": readings,
                    "submissions": readings,
                    "is_open": True,
                    "reopened_after": 0,
                }
            )
            summaries.append(
                {
                    "sequence": number + 1,
                    "content_sha256": f"{number:064x}",
                    "model": card.name,
                    "version": card.version,
                    "weights_sha256": card.weights_sha256,
                    "preparation": PREPARATION_VERSION,
                    "probabilities": probabilities[place].tobytes(),
                    "features": vectors[place].tobytes(),
                }
            )
        with store.database.writing() as connection:
            connection.execute(insert(STUDIES), rows)
            connection.execute(insert(SUMMARIES), summaries)
            if sent := [_submission(f"study-{number:06d}", reader, rng) for number in numbers if number in read for reader in "ab"]:
                connection.execute(insert(SUBMISSIONS), [{**row, "received_at": now} for row in sent])
    store.close()


def _submission(study: str, reader: str, rng: np.random.Generator) -> dict[str, object]:
    states = np.array(("present", "absent", "uncertain"))[rng.choice(3, len(finding_keys()), p=(0.02, 0.97, 0.01))]
    document = {"submission_id": str(uuid.UUID(bytes=rng.bytes(16))), "study": study, "reader": f"earlier-{reader}", "model": None}
    submission = Submission.model_validate(document | {"findings": dict(zip(finding_keys(), states.tolist(), strict=True))})
    text = submission.model_dump_json(by_alias=True)
    return {"submission_id": str(submission.submission_id), "study": study, "reader": submission.reader, "document": text}


def _first_ranked(http: httpx.Client) -> float:
    """Seconds until a study is offered by a strategy and not by chance: until the server has its pool."""
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_LIMIT_S:
        if not _next(http, "rarity_entropy", "warm")["random"]:
            return time.perf_counter() - began
    raise RuntimeError("the server ranks no study")


def _timed(server: WatchedServer, http: httpx.Client, strategy: str, requests: int) -> dict[str, float]:
    took, drawn, spent = [], 0, server.processor_s()
    for number in range(requests):
        began = time.perf_counter()
        answer = _next(http, strategy, f"reader-{number % 8}")
        took.append((time.perf_counter() - began) * 1000)
        drawn += answer["random"]
    median, worst = np.percentile(took, [50, 95])
    cpu = (server.processor_s() - spent) / requests * 1000
    return {"median_ms": round(float(median), 1), "p95_ms": round(float(worst), 1), "cpu_ms": round(cpu, 1), "drawn_at_random": drawn}


def _next(http: httpx.Client, strategy: str, reader: str) -> dict[str, bool]:
    answer = http.post(f"/activelearning/{strategy}", json={"client_id": reader, "another": True})
    answer.raise_for_status()
    document: dict[str, bool] = json.loads(answer.content)
    return document
