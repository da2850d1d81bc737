"""`headct-molre train`, and the same under torchrun: `torchrun --nproc_per_node N -m headct_molre.training`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser("train", help="train a model on a cohort: prepare, train, calibrate, write a version and its report")
    add_arguments(parser)
    parser.set_defaults(run=train)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a training run."""
    parser.add_argument("manifest", type=Path, help="CSV or Parquet manifest with splits (docs/cohort.md)")
    parser.add_argument("--model", required=True, help="backbone to adapt, such as dinov3_base")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; one that was cut off there is taken up")
    parser.add_argument("--config", type=Path, help="TOML file of settings (docs/training.md)")
    parser.add_argument("--set", dest="settings", action="append", metavar="NAME=VALUE", help="a single setting, such as molre=false")
    parser.add_argument("--device", help="cpu or cuda; chosen by itself if not given")
    parser.add_argument("--workers", type=int, default=2, help="processes that read and augment studies, for each training process")
    parser.add_argument("--version", help="name of the version; date and hash of the settings if not given")
    parser.add_argument("--source-studies", type=int, help="studies whose features the version keeps for fine-tuning; 0 for none")
    parser.add_argument("--price-per-hour", type=float, help="of one device, to have the run's price in its record")
    parser.add_argument("--install", action="store_true", help="put the version where the server finds it")


def train(options: argparse.Namespace) -> int:
    """Run the command."""
    from .data.cache_folder import cache_folder, cache_limit_bytes
    from .errors import InvalidRequest
    from .models.install import install_version
    from .training.config import load_config
    from .training.distributed import process_group
    from .training.run import RunOptions, run
    from .training.source_set import MOST_STUDIES

    if options.workers < 0:
        raise InvalidRequest("invalid_argument", "--workers is a number of processes, 0 or more.", field="workers")
    if (options.source_studies or 0) < 0:
        raise InvalidRequest("invalid_argument", "--source-studies is a number of studies, 0 or more.", field="source-studies")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("headct_molre").setLevel(logging.INFO)
    config = load_config(options.model, options.config, options.settings)
    where = RunOptions(
        options.manifest,
        options.out,
        cache_folder(),
        cache_limit_bytes(),
        options.workers,
        options.version,
        price_per_hour=options.price_per_hour,
        source_studies=MOST_STUDIES if options.source_studies is None else options.source_studies,
    )
    with process_group(options.device) as group:
        card = run(config, where, group)
        if not group.first:
            return 0
    print(f"{card.name} {card.version} ({card.adapter}): {_judged(card.mean_auc)}; report in {options.out / 'report'}")
    if options.install:
        alias = install_version(options.out / "models" / card.name / card.version)
        print(f"installed as {alias} of {card.name}")
    print("Research software, not a medical device.")
    return 0


def _judged(mean_auc: float | None) -> str:
    return "no finding could be judged" if mean_auc is None else f"mean AUC {mean_auc:.3f}"
