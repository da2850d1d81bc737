"""Immutable model versions on disk: safetensors, a model card and hashes. Never a pickle, never a partial load."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..errors import ModelUnavailable, NotFound
from ..hashing import file_sha256
from ..schema import ModelCard
from .backbones import backbone_names, backbone_spec
from .locations import backbone_file, home, model_folders

if TYPE_CHECKING:
    import torch

    from .backbones.spec import BackboneSpec, NormalisedBackbone
    from .classifier import HeadCTClassifier

WEIGHTS, CARD, ALIASES = "weights.safetensors", "model.json", "aliases.json"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def champion_folder(model: str) -> Path:
    """Folder of the version that `aliases.json` names as champion. Raises NotFound or ModelUnavailable."""
    if model not in backbone_names():
        raise NotFound("unknown_model", f"There is no model {model!r}. Known models: {', '.join(backbone_names())}.", field="model")
    for folder in model_folders(model):
        aliases = folder / ALIASES
        if aliases.is_file():
            version = _read_aliases(aliases)["champion"]
            if version is not None and (folder / version / CARD).is_file():
                return folder / version
            raise ModelUnavailable("damaged_model", f"{aliases} names the champion {version!r}, which is not there. Restore that version.")
    raise ModelUnavailable("no_trained_version", _no_version_message(model))


def load_card(model: str) -> ModelCard:
    """The card of the champion, whose files are all there (their hashes are checked when they are loaded).

    Raises NotFound for an unknown model, ModelUnavailable where no version can be served.
    """
    folder = champion_folder(model)
    try:
        card = ModelCard.model_validate_json((folder / CARD).read_bytes())
    except ValidationError as error:
        raise ModelUnavailable("damaged_model", f"The card {folder / CARD} is not valid: {error.errors()[0]['msg']}.") from None
    if not (folder / WEIGHTS).is_file():
        raise ModelUnavailable("damaged_model", f"{folder / WEIGHTS} is missing. Restore the version.")
    if not backbone_file(card.backbone).is_file():
        raise ModelUnavailable("backbone_missing", _no_backbone_message(backbone_spec(card.backbone), backbone_file(card.backbone)))
    return card


def write_version(folder: Path, card: ModelCard, tensors: dict[str, torch.Tensor]) -> ModelCard:
    """Write `<folder>/<version>/`, complete or not at all, and return the card with the hash of its weights.

    Raises ModelUnavailable if the version exists: versions are immutable.
    """
    from safetensors.torch import save_file

    target = folder / card.version
    if target.exists():
        raise ModelUnavailable("version_exists", f"Version {card.version} of {card.name} exists and versions are never changed.")
    partial = folder / f".partial-{os.getpid()}-{card.version}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, partial / WEIGHTS)
    card = card.model_copy(update={"weights_sha256": file_sha256(partial / WEIGHTS)})
    (partial / CARD).write_text(card.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, target)
    return card


def set_champion(folder: Path, version: str) -> None:
    """Point the champion alias at a version, atomically."""
    aliases = folder / ALIASES
    content = {**(_read_aliases(aliases) if aliases.is_file() else {"candidate": None}), "champion": version}
    partial = aliases.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, aliases)


def load_backbone(spec: BackboneSpec) -> tuple[NormalisedBackbone, str]:
    """The backbone with its released weights, and their hash. Raises ModelUnavailable that says how to get them."""
    from .backbones.spec import NormalisedBackbone

    path = backbone_file(spec.name)
    if not path.is_file():
        raise ModelUnavailable("backbone_missing", _no_backbone_message(spec, path))
    backbone = NormalisedBackbone(spec)
    state = _read_tensors(path)
    _refuse_misfit(backbone.network.state_dict(), state, path)
    backbone.network.load_state_dict(state)
    return backbone, file_sha256(path)


def load_classifier(model: str) -> tuple[HeadCTClassifier, ModelCard, BackboneSpec]:
    """The champion of a model, ready to serve: hashes verified, every key accounted for, LoRA merged, eval mode."""
    from .classifier import adapted_classifier
    from .lora import merge_lora

    folder, card = champion_folder(model), load_card(model)
    spec = backbone_spec(card.backbone)
    backbone, backbone_hash = load_backbone(spec)
    if backbone_hash != card.backbone_sha256:
        raise ModelUnavailable(
            "backbone_mismatch",
            f"{model} {card.version} was trained on other weights of {spec.name} than those in {backbone_file(spec.name)}.",
        )
    if file_sha256(folder / WEIGHTS) != card.weights_sha256:
        raise ModelUnavailable("damaged_model", f"The weights of {model} {card.version} differ from their recorded hash. Restore them.")
    settings = card.hyperparameters
    classifier = adapted_classifier(
        backbone,
        spec,
        len(card.findings),
        lora_rank=_integer(settings, "lora_rank"),
        lora_alpha=_integer(settings, "lora_alpha"),
        experts=_integer(settings, "molre_experts"),
        rank=_integer(settings, "molre_rank"),
        router_width=_integer(settings, "molre_router_width"),
    )
    state = _read_tensors(folder / WEIGHTS)
    _refuse_misfit(classifier.trainable_state(), state, folder / WEIGHTS)
    classifier.load_state_dict({**classifier.state_dict(), **state})
    merge_lora(classifier.backbone)
    return classifier.eval().requires_grad_(False), card, spec


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelUnavailable(
            "not_safetensors", f"{path} is not a complete safetensors file ({error}). Pickled checkpoints are never loaded."
        ) from None


def _read_aliases(path: Path) -> dict[str, str | None]:
    try:
        content = json.loads(path.read_bytes())
        champion, candidate = content["champion"], content.get("candidate")
    except (ValueError, TypeError, KeyError, AttributeError):
        champion, candidate = 0, None
    if not all(value is None or (isinstance(value, str) and VERSION.fullmatch(value)) for value in (champion, candidate)):
        raise ModelUnavailable("damaged_model", f"{path} is not {{champion, candidate}} with names of versions. Restore it.")
    return {"champion": champion, "candidate": candidate}


def _refuse_misfit(own: dict[str, torch.Tensor], state: dict[str, torch.Tensor], path: Path) -> None:
    """Raise ModelUnavailable with the keys, unless `state` holds exactly the tensors of `own`."""
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    shapes = [f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}" for k in own if k in state and state[k].shape != own[k].shape]
    if missing or unexpected or shapes:
        raise ModelUnavailable(
            "weights_do_not_fit",
            f"{path} does not fit the network. Missing: {_some(missing)}. Unexpected: {_some(unexpected)}. Other shape: {_some(shapes)}.",
        )


def _some(names: list[str]) -> str:
    return "none" if not names else ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _integer(settings: dict[str, float | int | str | bool | None], name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int):
        raise ModelUnavailable("damaged_model", f"The model card lacks the whole number hyperparameters.{name}.")
    return value


def _no_version_message(model: str) -> str:
    spec = backbone_spec(model)
    path = backbone_file(model)
    first = "" if path.is_file() else _no_backbone_message(spec, path) + " Then: "
    return (
        first
        + f"no trained version of {model} is installed, and untrained weights are never served. Put one under {home() / 'models' / model}."
    )


def _no_backbone_message(spec: BackboneSpec, path: Path) -> str:
    if spec.hub_id is None:
        return f"The weights of {spec.title} are missing from {path}; reinstall the package."
    return (
        f"The weights of {spec.title} are not installed. Accept the licence at {spec.licence_url}, then run: "
        f"mkdir -p {path.parent} && hf download {spec.hub_id} model.safetensors --local-dir . && mv model.safetensors {path}"
    )
