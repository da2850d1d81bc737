"""DINOv3 ViT-B/16 through timm, with the CLS token as slice feature (Meta AI, arXiv 2508.10104)."""

from __future__ import annotations

from torch import nn

from ...compat import declare_torchvision_operators
from ..lora import LoRATarget
from .spec import IMAGENET_MEAN, IMAGENET_STD, BackboneSpec, KeyFormat


def build_base(input_px: tuple[int, int]) -> nn.Module:
    """The network with qkv biases, as the released checkpoints have them; timm's default of mean pooling is not upstream's."""
    declare_torchvision_operators()
    import timm

    return timm.create_model("vit_base_patch16_dinov3_qkvb", pretrained=False, num_classes=0, global_pool="token")


DINOV3_BASE = BackboneSpec(
    name="dinov3_base",
    title="DINOv3 ViT-B/16",
    build=build_base,
    dimension=768,
    field_mm=(224, 224),
    input_px=(224, 224),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    level="slice",
    pooling="CLS token",
    formats=(KeyFormat("timm", r"blocks\.0\.attn\.qkv\.weight"),),
    lora_targets=(
        LoRATarget(r"network\.blocks\.\d+\.attn\.qkv", splits=3),
        LoRATarget(r"network\.blocks\.\d+\.attn\.proj"),
        LoRATarget(r"network\.patch_embed\.proj"),
    ),
    licence="DINOv3 License",
    licence_url="https://ai.meta.com/resources/models-and-libraries/dinov3-license/",
    hub_id="timm/vit_base_patch16_dinov3_qkvb.lvd1689m",
)
