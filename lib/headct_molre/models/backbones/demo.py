"""The demo backbone: a small ViT pretrained on synthetic phantoms and shipped with the package."""

from __future__ import annotations

import torch
from torch import nn

from ...compat import declare_torchvision_operators
from ..lora import VIT_TARGETS
from .spec import BackboneSpec, KeyFormat

PATCH_PX = 16
INPUT_PX = (224, 192)
DIMENSION = 192
DEPTH = 4
STEM_WIDTHS = (16, 32, 64)


class ConvolutionalPatches(nn.Module):
    """Patch tokens from four strided convolutions: they see a thin fracture that one linear map of a patch would not (arXiv 2106.14881)."""

    def __init__(self, img_size: tuple[int, int], patch_size: int, in_chans: int, embed_dim: int, **_: object) -> None:
        super().__init__()
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        layers: list[nn.Module] = []
        for width in STEM_WIDTHS:
            layers += [nn.Conv2d(in_chans, width, 3, stride=2, padding=1), nn.GroupNorm(4, width), nn.GELU()]
            in_chans = width
        self.stem = nn.Sequential(*layers)
        self.proj = nn.Conv2d(in_chans, embed_dim, 2, stride=2)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> tokens (N, H/16 x W/16, d)."""
        return self.proj(self.stem(slices)).flatten(2).transpose(1, 2)


def build(input_px: tuple[int, int] = INPUT_PX) -> nn.Module:
    """A ViT of 4 blocks and width 192 (1.9 M parameters) whose CLS token is the slice feature."""
    declare_torchvision_operators()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=input_px,
        patch_size=PATCH_PX,
        embed_dim=DIMENSION,
        depth=DEPTH,
        num_heads=3,
        num_classes=0,
        global_pool="token",
        embed_layer=ConvolutionalPatches,
    )


SPEC = BackboneSpec(
    name="demo",
    title="Demo ViT, pretrained on synthetic phantoms",
    build=build,
    dimension=DIMENSION,
    field_mm=(224, 192),
    input_px=INPUT_PX,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    level="slice",
    pooling="CLS token",
    formats=(KeyFormat("timm", r"blocks\.0\.attn\.qkv\.weight"),),
    lora_targets=VIT_TARGETS,
    licence="Apache-2.0",
)
