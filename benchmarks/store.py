"""How fast the study store is beside MONAI Label's LocalDatastore, in one run, and at the size of the published cohort.

    python benchmarks/store.py [--compared 2000] [--large 72756] [--repeats 200] [--postgres URL]

Both hold `--compared` studies, all that MONAI Label's store bears in reasonable time; ours also holds `--large` alone. A tenth of the
studies is read before anything is timed. The database at `--postgres` must be empty. Prints one JSON object: `ms` of each task (of
repeated ones [median, 99th percentile]) and `ratio`, MONAI Label's median by ours in SQLite. Our submissions are on the disk when they
count as saved; MONAI Label's labels are not. `save_with_8_writers` is one submission while eight threads
submit; `next` offers a reader a study at random, `next_by_id` the first by id, `next_ranked` the first of 10,000 candidates.
`load` is how many processes wanted a core in the last five minutes, without which no figure means much.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from headct_molre.data.store import StudyImages, StudyStore, sqlite_url
from headct_molre.findings import finding_keys
from headct_molre.schema import Submission

BOOTSTRAP = Path(__file__).parents[1] / "apps" / "headct_molre" / "bootstrap"
STATES = ("present", "absent", "uncertain")
WRITERS = 8


def main() -> None:
    """Measure all stores and print the figures."""
    parser = argparse.ArgumentParser(description="Speed of the study store beside MONAI Label's.")
    parser.add_argument("--compared", type=int, default=2000)
    parser.add_argument("--large", type=int, default=72_756)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--postgres", metavar="URL", help="an empty PostgreSQL database to measure too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = monai_label(folder / "monai", options.compared, options.repeats)
        ours = study_store(sqlite_url(folder / "compared.sqlite"), options.compared, options.repeats)
        report = {
            "studies": options.compared,
            "monai_label_ms": theirs,
            "ours_ms": ours,
            "ratio": {task: round(first(theirs[task]) / first(ours[task]), 1) for task in theirs if task in ours},
            "large": {
                "studies": options.large,
                "sqlite_ms": study_store(sqlite_url(folder / "large.sqlite"), options.large, options.repeats),
            },
        }
        if options.postgres:
            report["large"]["postgresql_ms"] = study_store(options.postgres, options.large, options.repeats)
    report["load"] = os.getloadavg()[1]
    print(json.dumps(report, indent=2))


def study_store(url: str, studies: int, repeats: int) -> dict[str, Any]:
    """The figures of one of our stores, which is empty before."""
    found = [StudyImages(study, f"{study}.nii.gz", "nifti") for study in ids(studies)]
    empty = once(lambda: StudyStore(url).close())
    store = StudyStore(url)
    figures: dict[str, Any] = {"open_empty": empty, "register_new": once(lambda: store.studies.register(found))}
    for study in ids(studies)[::10]:
        store.submissions.add(submission(study))
    store.close()

    def start() -> None:
        opened = StudyStore(url)
        opened.studies.register(found)
        opened.close()

    figures["open"] = once(start)
    store = StudyStore(url)
    chosen = random.Random(1).sample(ids(studies), repeats)
    figures["save"] = each(lambda study: store.submissions.add(submission(study)), chosen)
    with ThreadPoolExecutor(WRITERS) as pool:
        times = list(pool.map(lambda study: once(lambda: store.submissions.add(submission(study))), chosen))
    figures["save_with_8_writers"] = percentiles(times)
    few = range(max(5, repeats // 10))
    figures["note"] = each(lambda study: store.studies.update_info(study, {"seen": 1}), chosen)
    figures["history"] = each(store.submissions.of, chosen)
    figures["status"] = each(lambda _: store.studies.totals(), few)
    figures["list"] = each(lambda _: store.studies.ids(), few)
    figures["unread"] = each(lambda _: store.studies.ids(read=False), few)
    readers = [f"reader-{number}" for number in range(100, 100 + repeats)]  # who hold nothing yet
    figures["next"] = each(lambda reader: store.readings.offer(reader, 1800.0), readers)
    figures["next_by_id"] = each(lambda reader: store.readings.offer(reader, 1800.0, order="id", another=True), readers)
    ranked = random.Random(2).sample(ids(studies), min(studies, 10_000))  # as a strategy would
    figures["next_ranked"] = each(lambda reader: store.readings.offer_first(reader, ranked, 1800.0, another=True), readers)
    store.close()
    return figures


def monai_label(folder: Path, studies: int, repeats: int) -> dict[str, Any]:
    """The figures of MONAI Label's LocalDatastore over empty image files."""
    sys.path.insert(0, str(BOOTSTRAP))
    import sitecustomize  # noqa: F401  (lets MONAI Label be imported; see there)
    from monailabel.datastore.local import LocalDatastore
    from monailabel.tasks.activelearning.random import Random

    logging.disable(logging.WARNING)
    folder.mkdir()
    for study in ids(studies):
        (folder / f"{study}.nii.gz").touch()
    label = folder.parent / "label.json"
    label.write_text(submission(ids(1)[0]).model_dump_json(by_alias=True))
    figures: dict[str, Any] = {"register_new": once(lambda: LocalDatastore(str(folder)))}
    store = LocalDatastore(str(folder))
    for study in ids(studies)[::10]:
        store.save_label(study, str(label), "final", {})
    figures["open"] = once(lambda: LocalDatastore(str(folder)))
    store = LocalDatastore(str(folder))
    chosen = random.Random(1).sample(ids(studies), repeats)
    figures["save"] = each(lambda study: store.save_label(study, str(label), "final", {}), chosen)
    few = range(max(5, repeats // 10))
    figures["note"] = each(lambda study: store.update_image_info(study, {"seen": 1}), chosen)
    figures["status"] = each(lambda _: store.status(), few)
    figures["list"] = each(lambda _: store.list_images(), few)
    figures["unread"] = each(lambda _: store.get_unlabeled_images(), few)
    figures["next"] = each(lambda _: Random()({"strategy": "random"}, store), few)
    return figures


def ids(studies: int) -> list[str]:
    """The ids of the studies."""
    return [f"study-{number:06d}" for number in range(studies)]


def submission(study: str) -> Submission:
    """A reader's calls on all 75 findings."""
    findings = {key: random.choice(STATES) for key in finding_keys()}
    document = {"submission_id": str(uuid.uuid4()), "study": study, "reader": f"reader-{random.randrange(4)}", "model": None}
    return Submission.model_validate(document | {"findings": findings, "seconds_spent": 41.5, "client": "benchmark"})


def once(task: Callable[[], Any]) -> float:
    """Milliseconds of a task."""
    started = time.perf_counter()
    task()
    return round(1000 * (time.perf_counter() - started), 3)


def each(task: Callable[[Any], Any], items: Iterable[Any]) -> list[float]:
    """[median, 99th percentile] milliseconds of a task over items."""
    return percentiles([once(lambda item=item: task(item)) for item in items])


def percentiles(times: list[float]) -> list[float]:
    """[median, 99th percentile]."""
    return [round(float(value), 3) for value in np.percentile(times, [50, 99])]


def first(figure: float | list[float]) -> float:
    """The median, or the only time."""
    return figure[0] if isinstance(figure, list) else figure


if __name__ == "__main__":
    main()
