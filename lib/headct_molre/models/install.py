"""Puts a trained version where the server finds it: beside the versions that are there, verified, and never in their place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import ModelUnavailable
from ..hashing import file_sha256
from .aliases import set_alias
from .checkpoint import CARD, SOURCE_SET, WEIGHTS, has_champion, read_card
from .locations import home


def install_version(version: Path) -> str:
    """Copy the folder of a version below the user's models; returns "champion", or "candidate" where the model has a champion already.

    Raises ModelUnavailable for a damaged version, and where a version of that name is there.
    """
    card = read_card(version)
    if file_sha256(version / WEIGHTS) != card.weights_sha256:
        raise ModelUnavailable("damaged_model", f"The weights in {version} differ from their recorded hash. Train or copy them again.")
    if card.source_sha256 is not None and not (version / SOURCE_SET).is_file():
        raise ModelUnavailable(
            "damaged_model", f"{version / SOURCE_SET}, which the card names, is missing. Train or copy the version again."
        )
    folder = home() / "models" / card.name
    target = folder / card.version
    if target.exists():
        raise ModelUnavailable("version_exists", f"Version {card.version} of {card.name} exists and versions are never changed.")
    alias = "candidate" if has_champion(card.name) else "champion"
    partial = folder / f".partial-{os.getpid()}-{card.version}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in (WEIGHTS, CARD, *([SOURCE_SET] if card.source_sha256 else [])):
        shutil.copyfile(version / name, partial / name)
    os.replace(partial, target)
    set_alias(folder, alias, card.version)
    return alias
