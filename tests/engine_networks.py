"""The small backbones with weights that are felt at every layer, and a network of 3D convolutions, for tests of engines."""

import dataclasses

import torch
from torch import nn

from headct_molre.models.backbones.demo import SPEC as DEMO
from headct_molre.models.backbones.spec import BackboneSpec, NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.models.engines.apply import probabilities
from small_backbones import small_backbones
from small_backbones.loading import small_backbone

SMALL = small_backbones()


class Convolutions3D(nn.Module):
    """A DenseNet, whose average pooling PyTorch lacks in bf16 on the CPU, and a UNet, which has transposed convolutions."""

    def __init__(self):
        super().__init__()
        from monai.networks.nets import DenseNet, UNet

        self.dense = DenseNet(3, 3, 16, init_features=32, growth_rate=16, block_config=(2, 2)).features
        self.unet = UNet(3, 3, 64, (4, 8, 16), (2, 2), num_res_units=1)

    def forward(self, volume, mask):
        dense, unet = self.dense(volume).amax((3, 4)), self.unet(volume).mean((2, 3, 4))
        real = nn.functional.adaptive_max_pool1d(mask[:, None].float(), dense.shape[2])
        pooled = dense[:, :64] * real / real.sum(2, keepdim=True)
        return (pooled + (unet / dense.shape[2])[..., None]).transpose(1, 2)


CONVOLUTIONS = dataclasses.replace(
    DEMO,
    name="3D convolutions",
    build=lambda input_px: Convolutions3D(),
    dimension=64,
    input_px=(32, 32),
    level="volume",
    depth=8,
    grid=dataclasses.replace(DEMO.grid, slices=8, trimmed=False),
    lora_targets=(),
)
SPECS = {CONVOLUTIONS.name: CONVOLUTIONS} | {name: small.spec for name, small in SMALL.items()}


def network(spec: BackboneSpec) -> NormalisedBackbone:
    """The backbone with random weights, always the same."""
    torch.manual_seed(0)
    backbone = small_backbone(SMALL[spec.name]) if spec.name in SMALL else NormalisedBackbone(spec)
    return backbone.eval().requires_grad_(False)


def classifier_of(spec: BackboneSpec) -> HeadCTClassifier:
    """A classifier of 75 findings with random MoLRE and head."""
    classifier = HeadCTClassifier(network(spec), spec, 75).eval().requires_grad_(False)
    torch.manual_seed(1)
    for name, parameter in classifier.named_parameters():
        if not name.startswith("backbone."):
            nn.init.normal_(parameter, std=0.1)
    return classifier


def study(spec: BackboneSpec, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """So many studies (B, S, C, H, W) with the last three slices not real, and which are (B, S)."""
    torch.manual_seed(2)
    slices = spec.depth or 6
    return torch.rand(count, slices, len(spec.windows), *spec.input_px), torch.arange(slices).expand(count, -1) < slices - 3


def inputs(spec: BackboneSpec, count: int) -> tuple[torch.Tensor, ...]:
    """What the backbone itself takes: so many slices, or so many studies."""
    slices, mask = study(spec, count)
    return (slices[:, 0],) if spec.level == "slice" else (slices, mask)


def disagreement(classifier: HeadCTClassifier, reference: nn.Module, engine: nn.Module, slices: torch.Tensor, mask: torch.Tensor) -> float:
    """The largest difference of a probability between two ways to run a classifier's backbone."""
    found = [probabilities(classifier, run, slices, mask) for run in (reference, engine)]
    return float((found[0] - found[1]).abs().max())
