"""The choice of a strength on disk, so that a fine-tune that is started again does not repeat it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ...output import flush, replacing
from .strength import Choice


def write_choice(path: Path, choice: Choice) -> None:
    """Write a choice, whole or not at all."""
    noted = {"strength": choice.strength, "losses": list(choice.losses.items())}
    with replacing(path) as partial:
        save_file({"out_of_fold": torch.from_numpy(choice.out_of_fold)}, partial, metadata={"choice": json.dumps(noted)})
        flush(partial)


def read_choice(path: Path) -> Choice | None:
    """The choice in a file, None where there is none or it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            noted = json.loads(file.metadata()["choice"])
            return Choice(noted["strength"], dict(noted["losses"]), file.get_tensor("out_of_fold").numpy())
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
