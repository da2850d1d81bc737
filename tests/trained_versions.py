"""Installs backbones in their published formats, and versions trained on nothing, where a test needs something to serve."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from headct_molre.findings import finding_keys
from headct_molre.models.backbones.spec import BackboneSpec
from headct_molre.models.checkpoint import set_champion, write_version
from headct_molre.models.classifier import HeadCTClassifier, adapted_classifier
from headct_molre.models.weights import load_backbone
from headct_molre.schema import ModelCard
from small_backbones import Small


def install_backbone(home: Path, small: Small, key_format: str | None = None, seed: int = 0) -> Path:
    """Write a checkpoint of a small backbone, in the first of its formats if not told, where the library looks for it."""
    state = small.official[key_format or next(iter(small.official))](seed)
    path = home / "backbones" / f"{small.spec.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, path)
    return path


def active_classifier(spec: BackboneSpec, seed: int = 0) -> tuple[HeadCTClassifier, str]:
    """The classifier of an installed backbone, adapters and head away from their start, and the hash of the backbone."""
    backbone, sha256 = load_backbone(spec)
    torch.manual_seed(seed)
    classifier = adapted_classifier(backbone, spec, len(finding_keys()))
    classifier.freeze_backbone()
    for name, parameter in classifier.named_parameters():
        if parameter.requires_grad and ("backbone." not in name or ".lora_" in name):
            torch.nn.init.normal_(parameter, std=0.05)
    return classifier.eval(), sha256


def install_version(
    home: Path, spec: BackboneSpec, version: str = "7", seed: int = 0, **card: object
) -> tuple[HeadCTClassifier, ModelCard]:
    """Store such a classifier as the champion of its model."""
    classifier, sha256 = active_classifier(spec, seed)
    height, width = classifier.input_px
    lora = {"lora_rank": 8, "lora_alpha": 16} if spec.lora_targets else {}
    molre = {"molre_experts": 6, "molre_rank": 8, "molre_router_width": 256} if spec.molre else {}
    document = {
        "name": spec.name,
        "version": version,
        "backbone": spec.name,
        "adapter": " + ".join([*["LoRA"] * bool(lora), *["MoLRE"] * bool(molre)]) or "none",
        "demo": True,
        "created": "2026-01-01T00:00:00+00:00",
        "description": "for tests",
        "intended_use": "tests",
        "limitations": [],
        "licence": spec.licence,
        "weights_sha256": "0" * 64,
        "backbone_sha256": sha256,
        "hyperparameters": lora | molre | {"input_height_px": height, "input_width_px": width},
        "findings": list(finding_keys()),
        "calibration": {},
        "operating_points": {},
        "cohort": {},
        "metrics": {},
        "mean_auc": None,
        "reproduce": "",
    }
    folder = home / "models" / spec.name
    stored = write_version(folder, ModelCard.model_validate(document | card), classifier.trainable_state())
    set_champion(folder, version)
    return classifier, stored
