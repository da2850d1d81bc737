"""`headct-molre finetune`: a candidate version from the corrections in a store, without a server."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidRequest

if TYPE_CHECKING:
    from .training.finetune import FineTuneProgress, FineTuneTask


def add_finetune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser("finetune", help="make a candidate version from the corrections in a store, and judge it")
    parser.add_argument("--model", default="demo", help="the model that was corrected")
    parser.add_argument("--studies", type=Path, help="the studies folder of the server; its store is in there if --store does not say so")
    parser.add_argument("--store", metavar="URL", help="sqlite:////folder/store.sqlite or postgresql://user@host/database")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the server's configuration, a TOML file")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML file of settings (docs/finetuning.md)")
    parser.add_argument("--set", dest="changed", action="append", metavar="NAME=VALUE", help="a single setting, such as mode=full")
    parser.add_argument("--until", type=int, metavar="N", help="learn from the first N submissions alone; from all if not given")
    parser.add_argument("--out", type=Path, help="folder of this fine-tune; one that was cut off there is taken up")
    parser.set_defaults(run=finetune)


def finetune(options: argparse.Namespace) -> int:
    """Run the command."""
    from .models.versions import gate_folder
    from .server.config import load_server_config
    from .training.config import read_settings, validated
    from .training.finetune import FineTuneConfig, FineTuneTask
    from .training.finetune.job_files import TASK
    from .training.finetune.run import run_task
    from .training.finetune.worker import read_task

    config = validated(FineTuneConfig, read_settings(options.settings, options.changed))
    server = load_server_config({"studies": options.studies, "store": options.store}, file=options.config)
    until = _until(server.store_url, options.until)
    folder = options.out or server.private_folder / "jobs" / f"{options.model}-{until}-{config.sha256()[:8]}"
    task = FineTuneTask(
        model=options.model,
        store_url=server.store_url,
        studies_folder=server.studies.absolute(),
        features_folder=server.private_folder / "features",
        prepared_folder=server.private_folder / "prepared",
        until=until,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        config=config,
        label_rule=server.label_rule,
    )
    if (folder / TASK).is_file():
        task = _same(read_task(folder), task, folder)
    else:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / TASK).write_text(task.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    with _bar() as listener:
        result = run_task(task, folder, listener)
    print("\n".join(result.summary))
    report = gate_folder(options.model, result.version) / "gate.html"
    print(f"report: {report}")
    if result.outcome != "reject":
        print(f"serve it: headct-molre models promote {options.model} --version {result.version} --who NAME")
    return 0


def _until(url: str, asked: int | None) -> int:
    """The submission up to which all count, the last one if not told. Raises NotFound where there is no store."""
    from .data.store import StudyStore
    from .data.transfer.snapshot import existing_store

    if asked is not None and asked < 0:
        raise InvalidRequest("invalid_argument", "--until is a number of submissions, 0 or more.", field="until")
    existing_store(url).close()
    store = StudyStore(url)
    try:
        last = store.submissions.last_sequence()
    finally:
        store.close()
    return last if asked is None else min(asked, last)


def _same(before: FineTuneTask, now: FineTuneTask, folder: Path) -> FineTuneTask:
    """The task that the folder holds already, which differs from the new one in its time alone. Raises InvalidRequest where it does not."""
    if before.model_copy(update={"created": now.created}) != now:
        raise InvalidRequest("other_task", f"{folder} holds another fine-tune. Choose another folder with --out.", field="out")
    return before


@contextmanager
def _bar() -> Iterator[Callable[[FineTuneProgress], None]]:
    """A bar on a terminal."""
    from tqdm import tqdm

    with tqdm(total=100, unit="%", disable=None, bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}") as bar:

        def listen(progress: FineTuneProgress) -> None:
            bar.set_description_str(progress.message)
            bar.update(progress.percentage - bar.n)

        yield listen
