"""Immutable model versions on disk: safetensors, a model card and hashes. Never a pickle, never a partial load."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..errors import ModelUnavailable, NotFound
from ..schema import ModelCard
from .backbones import backbone_names, backbone_spec
from .locations import backbone_file, home, model_folders

if TYPE_CHECKING:
    import torch

    from .backbones.spec import BackboneSpec, NormalisedBackbone
    from .classifier import HeadCTClassifier

WEIGHTS, CARD, ALIASES = "weights.safetensors", "model.json", "aliases.json"


def sha256(path: Path) -> str:
    """Hash of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def champion_folder(model: str) -> Path:
    """Folder of the version that `aliases.json` names as champion. Raises NotFound or ModelUnavailable."""
    if model not in backbone_names():
        raise NotFound("unknown_model", f"There is no model {model!r}. Known models: {', '.join(backbone_names())}.", field="model")
    for folder in model_folders(model):
        aliases = folder / ALIASES
        if aliases.is_file():
            version = json.loads(aliases.read_text(encoding="utf-8")).get("champion")
            if version and (folder / version / CARD).is_file():
                return folder / version
            raise ModelUnavailable("damaged_model", f"{aliases} names the champion {version!r}, which is not there. Restore that version.")
    raise ModelUnavailable("no_trained_version", _no_version_message(model))


def load_card(model: str) -> ModelCard:
    """The card of the champion. Raises NotFound for an unknown model, ModelUnavailable where no version can be served."""
    path = champion_folder(model) / CARD
    try:
        return ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ModelUnavailable(
            "damaged_model", f"The card {path.name} of model {model} is not valid: {error.errors()[0]['msg']}."
        ) from None


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
    card = card.model_copy(update={"weights_sha256": sha256(partial / WEIGHTS)})
    (partial / CARD).write_text(card.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, target)
    return card


def set_champion(folder: Path, version: str) -> None:
    """Point the champion alias at a version, atomically."""
    aliases = folder / ALIASES
    content = json.loads(aliases.read_text(encoding="utf-8")) if aliases.is_file() else {"candidate": None}
    content["champion"] = version
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
    if spec.key_map is not None:
        state = spec.key_map(state)
    _load_strictly(backbone.network, state, path)
    return backbone, sha256(path)


def load_classifier(model: str) -> tuple[HeadCTClassifier, ModelCard, BackboneSpec]:
    """The champion of a model, ready to serve: hashes verified, every key accounted for, LoRA merged, eval mode."""
    from .classifier import HeadCTClassifier
    from .lora import add_lora, merge_lora

    folder, card = champion_folder(model), load_card(model)
    spec = backbone_spec(card.backbone)
    backbone, backbone_hash = load_backbone(spec)
    if backbone_hash != card.backbone_sha256:
        raise ModelUnavailable(
            "backbone_mismatch",
            f"{model} {card.version} was trained on other weights of {spec.name} than those in {backbone_file(spec.name)}.",
        )
    if sha256(folder / WEIGHTS) != card.weights_sha256:
        raise ModelUnavailable("damaged_model", f"The weights of {model} {card.version} differ from their recorded hash. Restore them.")
    settings = card.hyperparameters
    add_lora(backbone, spec.lora_targets, rank=_integer(settings, "lora_rank"), alpha=float(_integer(settings, "lora_alpha")))
    classifier = HeadCTClassifier(
        backbone,
        spec.dimension,
        len(card.findings),
        experts=_integer(settings, "molre_experts"),
        rank=_integer(settings, "molre_rank"),
        router_width=_integer(settings, "molre_router_width"),
    )
    state = _read_tensors(folder / WEIGHTS)
    frozen = {name: tensor for name, tensor in classifier.state_dict().items() if name not in classifier.trainable_state()}
    _load_strictly(classifier, {**frozen, **state}, folder / WEIGHTS)
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


def _load_strictly(module: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    own = module.state_dict()
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    shapes = [f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}" for k in own if k in state and state[k].shape != own[k].shape]
    if missing or unexpected or shapes:
        raise ModelUnavailable(
            "weights_do_not_fit",
            f"{path} does not fit the network. Missing: {_some(missing)}. Unexpected: {_some(unexpected)}. Other shape: {_some(shapes)}.",
        )
    module.load_state_dict(state, strict=True)


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
        f"hf download {spec.hub_id} model.safetensors --local-dir . && mv model.safetensors {path}"
    )
