"""Trained model versions in a backup: their cards, weights and aliases, each version checked against the hash on its card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InvalidRequest, ModelUnavailable
from ...hashing import file_sha256
from .archive import Backup, is_model_member

ALIASES, CARD, WEIGHTS = "aliases.json", "model.json", "weights.safetensors"


def model_files(home: Path) -> dict[str, Path]:
    """{member of the archive: file} of every version in the user's folder; versions that are being written are left out.

    Raises ModelUnavailable `damaged_model` for weights that differ from the hash on their card.
    """
    found: dict[str, Path] = {}
    for model in _folders(home / "models"):
        if (model / ALIASES).is_file():
            found[f"models/{model.name}/{ALIASES}"] = model / ALIASES
        for version in _folders(model):
            if not (version / CARD).is_file():
                continue
            _check(version, f"{model.name} {version.name}")
            found |= {f"models/{model.name}/{version.name}/{path.name}": path for path in sorted(version.iterdir()) if path.is_file()}
    return {name: path for name, path in found.items() if is_model_member(name)}


@contextmanager
def placed_models(backup: Backup, home: Path) -> Iterator[None]:
    """Puts the versions of a backup under the user's folder, and takes them away again where the block fails.

    A version or alias that is there with the same content stays. Raises InvalidRequest `models_exist` for other content, and
    ModelUnavailable `damaged_model`, before anything is put there.
    """
    partial = home / f".restore-{os.getpid()}.partial"
    made: list[Path] = []
    try:
        unpacked = [_unpacked(backup, name, partial) for name in backup.manifest.model_files()]
        for card in (path for path in unpacked if path.name == CARD):
            _check(card.parent, f"{card.parent.parent.name} {card.parent.name}")
        new = [path for path in unpacked if not _is_there(path, home / path.relative_to(partial))]
        for path in sorted(new, key=lambda path: path.name == ALIASES):  # an alias never names what is not there yet
            target = home / path.relative_to(partial)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
            made.append(target)
        yield
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpacked(backup: Backup, name: str, folder: Path) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.writelines(backup.pieces(name))
    return path


def _is_there(path: Path, target: Path) -> bool:
    if not target.exists():
        return False
    if file_sha256(target) != file_sha256(path):
        name = "/".join(target.parts[-3:])
        message = f"{name} is there already with other content, and nothing is overwritten. Restore with another HEADCT_MOLRE_HOME."
        raise InvalidRequest("models_exist", message, field="with-models", status=409)
    return True


def _check(version: Path, name: str) -> None:
    try:
        recorded = json.loads((version / CARD).read_bytes())["weights_sha256"]
    except (ValueError, KeyError, TypeError):
        raise ModelUnavailable("damaged_model", f"The card of {name} is not valid. Remove or restore that version.") from None
    if not (version / WEIGHTS).is_file() or file_sha256(version / WEIGHTS) != recorded:
        message = f"The weights of {name} differ from the hash on their card. Remove or restore that version."
        raise ModelUnavailable("damaged_model", message)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones are versions that are being written."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
