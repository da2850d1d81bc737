"""The demo backbone: a small ViT pretrained on synthetic phantoms and shipped with the package."""

from __future__ import annotations

from torch import nn

from ...compat import declare_torchvision_operators
from ..lora import VIT_TARGETS
from .spec import BackboneSpec, KeyFormat

PATCH_PX = 8
INPUT_PX = (112, 96)
DIMENSION = 192
DEPTH = 4


def build(input_px: tuple[int, int] = INPUT_PX) -> nn.Module:
    """A ViT of 4 blocks and width 192 (1.8 M parameters) whose CLS token is the slice feature."""
    declare_torchvision_operators()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=input_px, patch_size=PATCH_PX, embed_dim=DIMENSION, depth=DEPTH, num_heads=3, num_classes=0, global_pool="token"
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
