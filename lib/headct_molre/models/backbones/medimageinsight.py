"""MedImageInsight's image tower: a DaViT through timm, and the projection into the space that it shares with its text tower.

Papers: Codella et al., "MedImageInsight", arXiv 2410.06542; Ding et al., "DaViT: Dual Attention Vision Transformers", arXiv 2204.03645.
Weights: lion-ai/MedImageInsights on Hugging Face (MIT), a safetensors file in spite of its name. Code: visual-layer/MedImageInsight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ...compat import declare_torchvision_operators
from ..lora import LoRATarget
from .keys import renamed
from .spec import IMAGENET_MEAN, IMAGENET_STD, BackboneSpec, KeyFormat, State


@dataclass(frozen=True)
class Sizes:
    """Widths, depths and heads (channel groups likewise) of the four stages, the side of a window, and the feature's dimension."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    dimension: int


RELEASED = Sizes(widths=(256, 512, 1024, 2048), depths=(1, 1, 9, 1), heads=(8, 16, 32, 64), window=12, dimension=1024)


class ProjectedDaViT(nn.Module):
    """Slices (N, 3, H, W) -> features (N, dimension): mean over the last stage's map, LayerNorm, projection. Not scaled to length 1.

    The release scales its features only to compare them with those of texts.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        declare_torchvision_operators()
        from timm.models.davit import DaVit

        self.davit = DaVit(
            num_classes=0,
            depths=sizes.depths,
            embed_dims=sizes.widths,
            num_heads=sizes.heads,
            window_size=sizes.window,
            down_kernel_size=3,
            channel_attn_v2=True,
            named_blocks=True,
        )
        self.image_projection = nn.Parameter(torch.zeros(sizes.widths[-1], sizes.dimension))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, dimension)."""
        return self.davit(slices) @ self.image_projection


def build(sizes: Sizes, input_px: tuple[int, int]) -> nn.Module:
    """The network, which takes any size of input: windows are padded and nothing depends on the place."""
    return ProjectedDaViT(sizes)


RULES = (
    (r"^image_encoder\.convs\.0\.proj\.", "davit.stem.conv."),
    (r"^image_encoder\.convs\.0\.norm\.", "davit.stem.norm."),
    (r"^image_encoder\.convs\.(\d+)\.proj\.", r"davit.stages.\1.downsample.conv."),
    (r"^image_encoder\.convs\.(\d+)\.norm\.", r"davit.stages.\1.downsample.norm."),
    (r"^image_encoder\.blocks\.(\d+)\.", r"davit.stages.\1.blocks."),
    (r"^image_encoder\.norms\.", "davit.head.norm."),
    (r"\.conv([12])\.fn\.dw\.", r".cpe\1.proj."),
    (r"\.(window|channel)_attn\.norm\.", ".norm1."),
    (r"\.(window|channel)_attn\.fn\.", ".attn."),
    (r"\.ffn\.norm\.", ".norm2."),
    (r"\.ffn\.fn\.net\.", ".mlp."),
)


def from_release(state: State, network: nn.Module) -> State:
    """The keys of the released file, that is of its own DaViT."""
    return renamed(state, RULES)


SPEC = BackboneSpec(
    name="medimageinsight",
    title="MedImageInsight DaViT",
    build=partial(build, RELEASED),
    dimension=RELEASED.dimension,
    field_mm=(224, 224),
    input_px=(480, 480),
    cpu_input_px=(224, 224),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    level="slice",
    pooling="mean over the last feature map, LayerNorm, image projection",
    formats=(
        KeyFormat(
            "release",
            marker=r"image_encoder\.convs\.0\.proj\.weight",
            reads=r"image_encoder\..*|image_projection",
            convert=from_release,
        ),
    ),
    # q, k and v share a pair and of the convolutions only the stem is adapted: so the published count of parameters comes out.
    lora_targets=(
        LoRATarget(r"network\.davit\.stages\.\d+\.blocks\.\d+\.(spatial|channel)_block\.attn\.qkv"),
        LoRATarget(r"network\.davit\.stages\.\d+\.blocks\.\d+\.(spatial|channel)_block\.attn\.proj"),
        LoRATarget(r"network\.davit\.stem\.conv"),
    ),
    licence="MIT",
    licence_url="https://huggingface.co/lion-ai/MedImageInsights",
    hub_id="lion-ai/MedImageInsights",
    hub_files=("2024.09.27/vision_model/medimageinsigt-v1.0.0.pt",),
)
