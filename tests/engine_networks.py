"""Small networks of each kind that the backbones are made of, with random weights that are felt at every layer, for tests of engines."""

import dataclasses
import re

import torch
from torch import nn

from headct_molre.compat import declare_torchvision_operators
from headct_molre.models.backbones.demo import SPEC as DEMO
from headct_molre.models.backbones.spec import BackboneSpec, NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier
from small_backbones import small_backbones

DEPTH = 8
declare_torchvision_operators()


def vit_with_rope(input_px):
    import timm

    return timm.create_model(
        "vit_base_patch16_dinov3_qkvb", num_classes=0, global_pool="token", embed_dim=64, depth=2, num_heads=2, init_values=1.0
    )


def vit_with_attention_pooling(input_px):
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=input_px, patch_size=14, embed_dim=64, depth=2, num_heads=4, num_classes=0, global_pool="map", class_token=False
    )


def davit(input_px):
    from timm.models.davit import DaVit

    return DaVit(depths=(1, 1, 1, 1), embed_dims=(16, 32, 48, 64), num_heads=(2, 4, 6, 8), window_size=5, num_classes=0)


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


def _spec(name, build, input_px, **changes) -> BackboneSpec:
    return dataclasses.replace(DEMO, name=name, build=build, dimension=64, input_px=input_px, lora_targets=(), **changes)


KINDS = {
    "vit with rope": _spec("vit with rope", vit_with_rope, (64, 48)),
    "vit with attention pooling": _spec("vit with attention pooling", vit_with_attention_pooling, (56, 56)),
    "davit": _spec("davit", davit, (96, 80)),
    "3D convolutions": _spec("3D convolutions", lambda input_px: Convolutions3D(), (32, 32), level="volume", depth=DEPTH),
}
SPECS = {**KINDS, **{name: small.spec for name, small in small_backbones().items()}}


def network(spec: BackboneSpec) -> NormalisedBackbone:
    """Random weights, always the same, with LayerScale 1: at its usual 1e-5 no error in a block is ever seen."""
    torch.manual_seed(0)
    backbone = NormalisedBackbone(spec).eval().requires_grad_(False)
    for name, parameter in backbone.named_parameters():
        if re.search(r"gamma|\.ls\d", name):
            parameter.fill_(1)
    return backbone


def classifier_of(backbone: nn.Module, spec: BackboneSpec, findings: int = 75) -> HeadCTClassifier:
    """A classifier whose random MoLRE and head give probabilities all over 0..1."""
    torch.manual_seed(1)
    classifier = HeadCTClassifier(backbone, spec.dimension, findings).eval().requires_grad_(False)
    for part in (classifier.molre, classifier.pooling, classifier.head):
        for parameter in part.parameters():
            nn.init.normal_(parameter, std=0.1)
    return classifier


def inputs(spec: BackboneSpec, count: int) -> tuple[torch.Tensor, ...]:
    """What the backbone takes: so many slices, or so many studies and which of their slices are real."""
    torch.manual_seed(2)
    size = (len(spec.windows), *spec.input_px)
    if spec.level == "slice":
        return (torch.rand(count, *size),)
    depth = spec.depth or spec.grid.slices
    return torch.rand(count, depth, *size), torch.arange(depth).expand(count, -1) < depth - 3
