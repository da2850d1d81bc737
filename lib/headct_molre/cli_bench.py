"""`headct-molre bench`: the paper's table on a cohort of one's own, every backbone as baseline and with MoLRE."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .errors import InvalidRequest


def add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser("bench", help="train every backbone as baseline and with MoLRE, and fill the paper's table")
    parser.add_argument("manifest", type=Path, help="CSV or Parquet manifest with splits (docs/cohort.md)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of runs and table; taken up where it stands")
    parser.add_argument("--models", default="all", metavar="A,B", help="all for the paper's six, or names of backbones")
    parser.add_argument("--seeds", default="0,1,2", metavar="N,N", help="seeds, each a run of its own for each arm")
    parser.add_argument("--config", type=Path, help="TOML file of settings for all runs (docs/training.md)")
    parser.add_argument("--set", dest="settings", action="append", metavar="NAME=VALUE", help="a single setting for all runs")
    parser.add_argument("--workers", type=int, default=2, help="processes that read and augment studies")
    parser.add_argument("--device", help="cpu or cuda; chosen by itself if not given")
    parser.add_argument("--mark-missing", action="store_true", help="go on where weights are missing, and say so in the table")
    parser.set_defaults(run=bench)


def bench(options: argparse.Namespace) -> int:
    """Run the command."""
    seeds = read_seeds(options.seeds)
    if options.workers < 0:
        raise InvalidRequest("invalid_argument", "--workers is a number of processes, 0 or more.", field="workers")
    if options.out.exists() and not options.out.is_dir():
        raise InvalidRequest("invalid_argument", f"--out {options.out} is not a folder.", field="out")
    from .data.cache_folder import cache_folder, cache_limit_bytes
    from .data.cohort import read_manifest
    from .training.bench import plan_bench, train_bench
    from .training.bench_table import write_table
    from .training.config import load_config
    from .training.distributed import process_group
    from .training.run import RunOptions

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("headct_molre").setLevel(logging.INFO)
    read_manifest(options.manifest)  # refuses what is wrong with it before any work
    models = None if options.models == "all" else [name.strip() for name in options.models.split(",") if name.strip()]
    plan = plan_bench(
        models,
        seeds,
        options.manifest,
        options.out,
        lambda model: load_config(model, options.config, options.settings),
        options.mark_missing,
    )
    where = RunOptions(options.manifest, options.out, cache_folder(), cache_limit_bytes(), options.workers)
    with process_group(options.device) as group:
        if group.first:
            options.out.mkdir(parents=True, exist_ok=True)
            write_table(plan)
        for _ in train_bench(plan, where, group):
            if group.first:
                write_table(plan)
        if group.first:
            print((options.out / "table.md").read_text(encoding="utf-8"))
            print(f"{options.out / 'table.md'}, table.csv and table.json beside it")
    return 0


def read_seeds(given: str) -> tuple[int, ...]:
    """Different seeds from `0,1,2`. Raises InvalidRequest."""
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise InvalidRequest("invalid_argument", f"--seeds {given!r} is not a list of different whole numbers like 0,1,2.", field="seeds")
    return tuple(map(int, parts))
