"""Immutable model versions on disk: safetensors, a model card and hashes. Never a pickle, never a partial load."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..errors import ModelUnavailable, NotFound
from ..hashing import file_sha256
from ..output import flush
from ..schema import ModelCard
from .aliases import ALIASES, read_aliases, set_alias
from .backbones import backbone_names, backbone_spec
from .locations import backbone_path, home, model_folders
from .weights import load_backbone, missing_message, read_tensors, refuse_misfit

if TYPE_CHECKING:
    import torch

    from .backbones.spec import BackboneSpec
    from .classifier import HeadCTClassifier

WEIGHTS, CARD = "weights.safetensors", "model.json"
# Features and labels of studies that a version was trained on, where it brings them (training/source_set.py).
SOURCE_SET = "source.safetensors"


def champion_folder(model: str) -> Path:
    """Folder of the version that `aliases.json` names as champion. Raises NotFound or ModelUnavailable."""
    if model not in backbone_names():
        raise NotFound("unknown_model", f"There is no model {model!r}. Known models: {', '.join(backbone_names())}.", field="model")
    for folder in model_folders(model):
        version = read_aliases(folder).champion
        if version is not None:
            found = version_folder(model, version)
            if found is None:
                message = f"{folder / ALIASES} names the champion {version!r}, which is not there. Restore that version."
                raise ModelUnavailable("damaged_model", message)
            return found
    raise ModelUnavailable("no_trained_version", _no_version_message(model))


def version_folder(model: str, version: str) -> Path | None:
    """Where a version lies, among the user's own first and then among those that the package ships; None where it is nowhere."""
    return next((folder / version for folder in model_folders(model) if (folder / version / CARD).is_file()), None)


def load_card(model: str) -> ModelCard:
    """The card of the champion, whose files are all there (their hashes are checked when they are loaded).

    Raises NotFound for an unknown model, ModelUnavailable where no version can be served.
    """
    return read_card(champion_folder(model))


def write_version(
    folder: Path, card: ModelCard, tensors: dict[str, torch.Tensor], source: dict[str, torch.Tensor] | None = None
) -> ModelCard:
    """Write `<folder>/<version>/`, complete or not at all, and return the card with the hashes of its weights and its source set.

    Raises ModelUnavailable if the version exists: versions are immutable.
    """
    from safetensors.torch import save_file

    target = folder / card.version
    if target.exists():
        raise ModelUnavailable("version_exists", f"Version {card.version} of {card.name} exists and versions are never changed.")
    partial = folder / f".partial-{os.getpid()}-{card.version}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, partial / WEIGHTS)
        if source is not None:
            save_file(source, partial / SOURCE_SET)
        hashes = {
            "weights_sha256": file_sha256(partial / WEIGHTS),
            "source_sha256": None if source is None else file_sha256(partial / SOURCE_SET),
        }
        card = card.model_copy(update=hashes)
        (partial / CARD).write_text(card.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
        for path in (*partial.iterdir(), partial):
            flush(path)
        os.replace(partial, target)
        flush(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return card


def has_champion(model: str) -> bool:
    """Whether a version of the model is served."""
    try:
        champion_folder(model)
    except ModelUnavailable as reason:
        return reason.code != "no_trained_version"
    return True


def set_champion(folder: Path, version: str) -> None:
    """Point the champion alias at a version, atomically."""
    set_alias(folder, "champion", version)


def load_classifier(model: str, device: str = "cpu") -> tuple[HeadCTClassifier, ModelCard, BackboneSpec]:
    """The champion of a model on a device, ready to serve: hashes verified, every key accounted for, LoRA merged, eval mode.

    The input has the size that the version was trained with, whatever the device.
    """
    from .lora import merge_lora

    classifier, card, spec = load_version(champion_folder(model))
    merge_lora(classifier.backbone)
    return classifier.eval().requires_grad_(False).to(device), card, spec


def load_version(folder: Path) -> tuple[HeadCTClassifier, ModelCard, BackboneSpec]:
    """The version in a folder as it was trained, on the CPU: hashes verified, every key accounted for, LoRA beside the weights.

    Raises ModelUnavailable where its files, or its backbone's, are not there or differ from their hashes.
    """
    from .classifier import adapted_classifier

    card = read_card(folder)
    model = card.name
    spec = backbone_spec(card.backbone)
    settings = card.hyperparameters
    backbone, backbone_hash = load_backbone(spec, _input_px(settings, spec))
    if backbone_hash != card.backbone_sha256:
        raise ModelUnavailable(
            "backbone_mismatch",
            f"{model} {card.version} was trained on other weights of {spec.name} than those in {backbone_path(spec.name)}.",
        )
    if file_sha256(folder / WEIGHTS) != card.weights_sha256:
        raise ModelUnavailable("damaged_model", f"The weights of {model} {card.version} differ from their recorded hash. Restore them.")
    adapters: dict[str, int] = {}
    if spec.lora_targets:
        adapters |= {"lora_rank": _integer(settings, "lora_rank"), "lora_alpha": _integer(settings, "lora_alpha")}
    if spec.molre:
        adapters |= {name: _integer(settings, f"molre_{name}") for name in ("experts", "rank", "router_width")}
    classifier = adapted_classifier(backbone, spec, len(card.findings), pooling=_pooling(settings), **adapters)
    state = read_tensors(folder / WEIGHTS)
    refuse_misfit(classifier.trainable_state(), state, folder / WEIGHTS)
    classifier.load_state_dict({**classifier.state_dict(), **state})
    return classifier.eval(), card, spec


def read_card(folder: Path) -> ModelCard:
    """The card of the version in a folder, whose files are all there. Raises ModelUnavailable where they are not."""
    try:
        card = ModelCard.model_validate_json((folder / CARD).read_bytes())
    except FileNotFoundError:
        raise ModelUnavailable("damaged_model", f"{folder / CARD} is missing. Restore the version.") from None
    except ValidationError as error:
        raise ModelUnavailable("damaged_model", f"The card {folder / CARD} is not valid: {error.errors()[0]['msg']}.") from None
    if not (folder / WEIGHTS).is_file():
        raise ModelUnavailable("damaged_model", f"{folder / WEIGHTS} is missing. Restore the version.")
    if not backbone_path(card.backbone).exists():
        raise ModelUnavailable("backbone_missing", missing_message(backbone_spec(card.backbone)))
    return card


def _integer(settings: dict[str, float | int | str | bool | None], name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int):
        raise ModelUnavailable("damaged_model", f"The model card lacks the whole number hyperparameters.{name}.")
    return value


def _input_px(settings: dict[str, float | int | str | bool | None], spec: BackboneSpec) -> tuple[int, int]:
    """The input size (height, width) that the version was trained with; a backbone of one size needs no word in the card."""
    if "input_height_px" not in settings and spec.cpu_input_px is None:
        return spec.input_px
    return _integer(settings, "input_height_px"), _integer(settings, "input_width_px")


def _pooling(settings: dict[str, float | int | str | bool | None]) -> str:
    from .pooling import POOLINGS

    name = str(settings.get("pooling", "query"))  # cards from before there was a choice name none
    if name not in POOLINGS:
        raise ModelUnavailable("damaged_model", f"The model card names the pooling {name!r}; there are {', '.join(POOLINGS)}.")
    return name


def _no_version_message(model: str) -> str:
    first = "" if backbone_path(model).exists() else missing_message(backbone_spec(model)) + " Then: "
    return (
        first
        + f"no trained version of {model} is installed, and untrained weights are never served. Put one under {home() / 'models' / model}."
    )
