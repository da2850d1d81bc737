"""Slices or a volume in, 75 logits out, with router weights, attention and exact evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .backbones.spec import BackboneSpec, NormalisedBackbone
from .lora import add_lora
from .molre import MoLRE
from .pooling import POOLINGS

# With as many slices at once, and checkpointing, every 2D backbone trains within 16 GB (docs/engines.md).
TRAINING_CHUNK = 4


@dataclass
class Output:
    """What the classifier says of a batch of B studies with S slices, F findings and K experts.

    logits (B, F); evidence (B, F, S), the exact share of each slice: its sum and bias (B, F) are the logit; attention (B, S), which sums
    to 1; router (B, S, K), which sums to 1 for each slice, and is the same for all slices where a volume is routed as a whole. K is 0
    without MoLRE. `scores` (B, F, S) is the head's score of each slice without bias, where the backbone reads slices.
    """

    logits: torch.Tensor
    bias: torch.Tensor
    evidence: torch.Tensor
    attention: torch.Tensor
    router: torch.Tensor
    scores: torch.Tensor | None = None


class HeadCTClassifier(nn.Module):
    """Backbone, MoLRE, pooling and linear head; what is pooled first, and what attention means, depends on the backbone's level.

    "slice": features of slices -> MoLRE for each slice -> attention pooling -> head. `chunk` bounds how many slices the backbone sees at
    once; with `checkpointing`, training keeps the activations of one chunk at a time and computes them again going backward.
    "volume": parts of a pooled feature, one for each depth -> their sum -> MoLRE -> head. The attention of a slice is its part's share in
    the feature's magnitude. The network sees one whole volume after the other, and keeps its activations.
    """

    def __init__(
        self,
        backbone: NormalisedBackbone,
        spec: BackboneSpec,
        findings: int,
        *,
        pooling: str = "query",
        chunk: int = TRAINING_CHUNK,
        **molre: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.input_px = backbone.input_px
        self.level, self.trained = spec.level, spec.trained
        self.molre = MoLRE(spec.dimension, **molre) if spec.molre and molre.get("experts") != 0 else None  # type: ignore[arg-type]
        self.pooling = POOLINGS[pooling](spec.dimension) if spec.level == "slice" else None
        self.head = nn.Linear(spec.dimension, findings)
        self.chunk = chunk
        self.checkpointing = False
        # A finding that no study ever labels keeps a logit of exactly 0 and never a random one.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Slices (B, S, C, H, W) in 0..1, and which are real (B, S) -> slice features (B, S, d), or parts (B, D, d) of volumes.

        Padded slices cost nothing: their features are 0.
        """
        if self.level == "volume":
            return self.backbone(slices, _all(slices) if mask is None else mask)
        flat = slices.flatten(0, 1) if mask is None else slices[mask]
        real = torch.cat([self._chunk(part) for part in flat.split(self.chunk)])
        if mask is None:
            return real.unflatten(0, slices.shape[:2])
        return real.new_zeros(*mask.shape, real.shape[-1]).masked_scatter(mask[..., None], real)

    def classify(self, features: torch.Tensor, mask: torch.Tensor | None = None) -> Output:
        """What `features` gave, and which slices are real (B, S), to findings."""
        if self.level == "volume":
            return self._classify_volume(features, _all(features) if mask is None else mask)
        adapted, router = self._adapt(features)
        assert self.pooling is not None
        attention = self.pooling(adapted, mask)
        # The head is linear, so pooling its scores equals scoring the pooled feature: evidence is exact, not an estimate.
        scores = (adapted @ self.head.weight.T).transpose(1, 2)
        logits = torch.einsum("bs,bfs->bf", attention, scores) + self.head.bias
        return Output(logits, self.head.bias.expand_as(logits), attention[:, None] * scores, attention, router, scores)

    def logits(self, features: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The logits (B, F) that `classify` gives, without the cost of evidence: what training on stored features needs."""
        if self.pooling is None:
            return self.head(self._adapt(features.sum(1))[0])
        adapted, _ = self._adapt(features)
        return self.head(torch.einsum("bs,bsd->bd", self.pooling(adapted, mask), adapted))

    def forward(self, slices: torch.Tensor, mask: torch.Tensor | None = None) -> Output:
        """Slices (B, S, C, H, W) in 0..1, and which of them are real (B, S), all if not given -> Output."""
        return self.classify(self.features(slices, mask), _all(slices) if mask is None else mask)

    def freeze_backbone(self) -> None:
        """Only LoRA, the backbone's `trained` tensors, MoLRE, pooling and head stay trainable."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self._is_kept(name))

    def head_parameters(self) -> list[nn.Parameter]:
        """Pooling and head, which learn at the higher rate."""
        return [*self.head.parameters(), *(() if self.pooling is None else self.pooling.parameters())]

    def molre_parameters(self) -> list[nn.Parameter]:
        """The routed experts; none where the backbone goes without."""
        return [] if self.molre is None else list(self.molre.parameters())

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """The tensors that a model version stores: everything but the frozen backbone."""
        return {name: tensor for name, tensor in self.state_dict().items() if self._is_kept(name)}

    def _is_kept(self, name: str) -> bool:
        if not name.startswith("backbone.") or ".lora_" in name:
            return True
        return self.trained is not None and re.fullmatch(self.trained, name.removeprefix("backbone.network.")) is not None

    def _chunk(self, slices: torch.Tensor) -> torch.Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self.backbone, slices, use_reentrant=False)
        return self.backbone(slices)

    def _adapt(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.molre is None:
            return features, features.new_zeros(*features.shape[:-1], 0)
        return self.molre(features)

    def _classify_volume(self, parts: torch.Tensor, mask: torch.Tensor) -> Output:
        volume = parts.sum(1)
        adapted, router = self._adapt(volume)
        logits = self.head(adapted)
        if self.molre is None:
            evidence = torch.einsum("fd,bzd->bfz", self.head.weight, parts)
        else:
            evidence = torch.einsum("bfd,bzd->bfz", self.molre.linear_part(self.head.weight, router), parts)
        evidence = _spread(evidence, mask[:, None])
        magnitude = _spread(parts.abs().sum(-1), mask)
        attention = magnitude / magnitude.sum(-1, keepdim=True).clamp(min=torch.finfo(magnitude.dtype).tiny)
        return Output(logits, logits - evidence.sum(-1), evidence, attention, router[:, None].expand(-1, mask.shape[1], -1))


def adapted_classifier(
    backbone: NormalisedBackbone,
    spec: BackboneSpec,
    findings: int,
    *,
    lora_rank: int = 8,
    lora_alpha: float = 16,
    experts: int = 6,
    rank: int = 8,
    router_width: int = 256,
    pooling: str = "query",
) -> HeadCTClassifier:
    """The classifier of a backbone with LoRA added to it in place, as it is trained and as a stored version is loaded.

    A `lora_rank` of 0 leaves LoRA out, 0 `experts` leave MoLRE out.
    """
    if lora_rank:
        add_lora(backbone, spec.lora_targets, lora_rank, lora_alpha)
    return HeadCTClassifier(backbone, spec, findings, experts=experts, rank=rank, router_width=router_width, pooling=pooling)


def _all(slices: torch.Tensor) -> torch.Tensor:
    return torch.ones(slices.shape[:2], dtype=torch.bool, device=slices.device)


def _spread(parts: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Share each of D' parts (..., D') evenly among those of its D / D' slices that are real, if any: (..., D)."""
    real = mask.unflatten(-1, (parts.shape[-1], -1)).to(parts.dtype)
    shares = real / real.sum(-1, keepdim=True).clamp(min=1)
    return (parts[..., None] * shares).flatten(-2)
