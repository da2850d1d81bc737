"""Slices or a volume in, 75 logits out, with router weights, attention and exact evidence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .backbones.spec import BackboneSpec
from .lora import add_lora, lora_parameters
from .molre import MoLRE
from .pooling import AttentionPooling


@dataclass
class Output:
    """What the classifier says of a batch of B studies with S slices, F findings and K experts.

    logits (B, F); scores (B, F, S), the head's score of each slice without bias; attention (B, S) and router (B, S, K),
    each summing to 1.
    """

    logits: torch.Tensor
    scores: torch.Tensor
    attention: torch.Tensor
    router: torch.Tensor

    @property
    def evidence(self) -> torch.Tensor:
        """The share (B, F, S) of each slice in a logit: its sum over slices plus the head's bias is the logit, exactly."""
        return self.attention[:, None, :] * self.scores


class HeadCTClassifier(nn.Module):
    """Backbone -> MoLRE for each slice -> attention pooling -> linear head.

    The backbone maps (N, 3, H, W) to (N, d). `chunk` bounds how many slices it sees at once.
    """

    def __init__(self, backbone: nn.Module, dimension: int, findings: int, *, chunk: int = 64, **molre: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.molre = MoLRE(dimension, **molre)  # type: ignore[arg-type]
        self.pooling = AttentionPooling(dimension)
        self.head = nn.Linear(dimension, findings)
        self.chunk = chunk
        # A finding that no study ever labels keeps a logit of exactly 0 and never a random one.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices (B, S, 3, H, W) in 0..1 -> slice features (B, S, d)."""
        flat = slices.flatten(0, 1)
        parts = [self.backbone(part) for part in flat.split(self.chunk)]
        return torch.cat(parts).unflatten(0, slices.shape[:2])

    def classify(self, features: torch.Tensor, mask: torch.Tensor | None = None) -> Output:
        """Slice features (B, S, d), and which slices are real (B, S), to findings."""
        adapted, router = self.molre(features)
        attention = self.pooling(adapted, mask)
        # The head is linear, so pooling its scores equals scoring the pooled feature: evidence is exact, not an estimate.
        scores = (adapted @ self.head.weight.T).transpose(1, 2)
        logits = torch.einsum("bs,bfs->bf", attention, scores) + self.head.bias
        return Output(logits, scores, attention, router)

    def forward(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> Output:
        """Slices (B, S, 3, H, W) in 0..1 -> Output."""
        return self.classify(self.features(slices), mask)

    def freeze_backbone(self) -> None:
        """Only LoRA, MoLRE, pooling and head stay trainable."""
        self.backbone.requires_grad_(False)
        for parameter in lora_parameters(self.backbone):
            parameter.requires_grad_(True)

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """The tensors that a model version stores: everything but the frozen backbone."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.") or ".lora_" in name}


def adapted_classifier(
    backbone: nn.Module, spec: BackboneSpec, findings: int, *, lora_rank: int, lora_alpha: float, experts: int, rank: int, router_width: int
) -> HeadCTClassifier:
    """The classifier of a backbone with LoRA added to it in place, as it is trained and as a stored version is loaded."""
    add_lora(backbone, spec.lora_targets, lora_rank, lora_alpha)
    return HeadCTClassifier(backbone, spec.dimension, findings, experts=experts, rank=rank, router_width=router_width)
