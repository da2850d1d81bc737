"""How many parameters a model has, and which of them learn; counted on the true networks without memory for a single one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..findings import finding_keys
from .backbones.spec import BackboneSpec, NormalisedBackbone
from .classifier import adapted_classifier
from .lora import lora_parameters


@dataclass(frozen=True)
class Counts:
    """Parameters of one model.

    `backbone` is the published network, `lora` what LoRA adds to it, `molre` the routed experts, `head` pooling query and linear head.
    `trainable` is all that learns: LoRA, MoLRE, head, and the part of a 3D network that is trained itself.
    """

    backbone: int
    lora: int
    molre: int
    head: int
    trainable: int

    @property
    def total(self) -> int:
        """Everything that is in memory while LoRA is not merged."""
        return self.backbone + self.lora + self.molre + self.head


def count_parameters(spec: BackboneSpec, adapters: Mapping[str, int | str] | None = None) -> Counts:
    """The counts of a backbone with 75 findings and these keyword arguments of `adapted_classifier`.

    Without them with the paper's adapters: LoRA of rank 8, six experts of rank 8.
    """
    with torch.device("meta"):
        backbone = NormalisedBackbone(spec)
        published = _count(backbone.parameters())
        classifier = adapted_classifier(backbone, spec, len(finding_keys()), **(adapters or {}))  # type: ignore[arg-type]
    classifier.freeze_backbone()
    return Counts(
        backbone=published,
        lora=_count(lora_parameters(classifier.backbone)),
        molre=_count(classifier.molre_parameters()),
        head=_count(classifier.head_parameters()),
        trainable=_count(parameter for parameter in classifier.parameters() if parameter.requires_grad),
    )


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
