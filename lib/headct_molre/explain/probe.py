"""A study before a classifier, to be asked of one finding: which slices speak for it, and how its logit answers to their pixels."""

from __future__ import annotations

import numpy as np
import torch

from ..models.backbones.spec import BackboneSpec, model_input
from ..models.classifier import HeadCTClassifier

# Slices that keep their activations at once: a backbone explains within the memory in which it trains.
CHUNK = 4


class Probe:
    """One study and one finding.

    `row` is the finding's place in the classifier's head and `slope` that of its calibration: all logits here are calibrated but for a
    constant. The classifier has its plain torch network and no engine, since gradients are asked of it; its parameters need none.

    `windows` (S', C, H', W') is the input, 0..1. `evidence` (P,) float64 is the exact share of each part in the logit; a part is `depth`
    slices, the least that the network tells apart: 1, but for a volume network that pools over depth.
    """

    def __init__(
        self, classifier: HeadCTClassifier, spec: BackboneSpec, hu: np.ndarray, row: int, slope: float = 1.0, device: str = "cpu"
    ) -> None:
        self.classifier, self.row, self.slope = classifier, row, slope
        self.windows, self.mask = (tensor.to(device) for tensor in model_input(spec, hu, classifier.input_px))
        with torch.no_grad():
            self.features = classifier.features(self.windows[None], self.mask[None])
            evidence = classifier.classify(self.features, self.mask[None]).evidence[0, row] * slope
        self.depth = len(self.windows) // self.features.shape[1]
        self.evidence = evidence.unflatten(0, (-1, self.depth)).sum(1).cpu().double().numpy()

    def logits(self, moved: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
        """The logit (N,) with one slice changed at a time: `moved` (N, C, H', W') in the place of `slices` (N,), all others as they are."""
        count = len(moved)
        place = torch.arange(count, device=moved.device), slices
        features = self.features.expand(count, -1, -1).index_put(place, self.classifier.backbone(moved))
        return self.classifier.classify(features, self.mask.expand(count, -1)).logits[:, self.row] * self.slope

    def moves_alone(self) -> bool:
        """Whether a slice can be changed at the cost of that slice: a volume network has to see the whole volume again."""
        return self.classifier.level == "slice"

    def gradient(self, moved: torch.Tensor, slices: torch.Tensor) -> torch.Tensor:
        """Gradient (N, C, H', W') of the logit in `moved` (N, C, H', W'), which stands in the place of `slices` (N,).

        Of a network of slices each is changed alone, as in `logits`. For a volume network `moved` has to be all slices.
        """
        if not self.moves_alone():
            whole = moved.detach().requires_grad_()
            logit = self.classifier(whole[None], self.mask[None]).logits[0, self.row] * self.slope
            return torch.autograd.grad(logit, whole)[0]
        gradients = []
        for some, at in zip(moved.detach().split(CHUNK), slices.split(CHUNK), strict=True):
            leaf = some.requires_grad_()
            gradients += torch.autograd.grad(self.logits(leaf, at).sum(), leaf)
        return torch.cat(gradients)
