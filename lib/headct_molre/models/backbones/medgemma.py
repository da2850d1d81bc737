"""MedGemma's image tower through timm: MedSigLIP-448 with its attention pooling, or the tower inside a MedGemma 4B checkpoint.

Papers: Sellergren et al., "MedGemma Technical Report", arXiv 2507.05201; Zhai et al., "Sigmoid Loss for Language Image Pre-Training",
arXiv 2303.15343. Weights: google/medsiglip-448 and google/medgemma-4b-it on Hugging Face, under the Health AI Developer Foundations terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any, Literal, cast

import torch
from torch import nn

from ...compat import declare_torchvision_operators
from ..lora import VIT_TARGETS
from .keys import joined, renamed
from .spec import BackboneSpec, KeyFormat, State

PATCH_PX = 14


@dataclass(frozen=True)
class Sizes:
    """Width, depth, heads and width of the MLPs' hidden layers of a SigLIP image tower."""

    width: int
    depth: int
    heads: int
    hidden: int


SO400M = Sizes(width=1152, depth=27, heads=16, hidden=4304)


def build(sizes: Sizes, input_px: tuple[int, int], pooling: Literal["map", "mean"] = "map") -> nn.Module:
    """The network for one input size: (N, 3, H, W) -> (N, width), H and W multiples of 14.

    After the last norm the patch tokens are pooled by SigLIP's attention with a learned query ("map"), or by their mean.
    """
    declare_torchvision_operators()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=input_px,
        patch_size=PATCH_PX,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        mlp_ratio=(sizes.hidden + 0.5) / sizes.width,  # timm multiplies by the width again and rounds down
        num_classes=0,
        class_token=False,
        global_pool="map" if pooling == "map" else "avg",
        fc_norm=False,
        act_layer="gelu_tanh",  # transformers' for these checkpoints; timm's own 14-px SigLIPs take the exact GELU
    )


# MedGemma's tower lies in `vision_tower`, before transformers 5 with a further `vision_model`.
RULES = (
    (r"^((model\.)?vision_tower\.)?(vision_model\.)?", ""),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^encoder\.layers\.", "blocks."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.", ".attn."),
    (r"^post_layernorm\.", "norm."),
    (r"^head\.probe$", "attn_pool.latent"),
    (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"^head\.attention\.in_proj_", "attn_pool.in_proj."),
    (r"^head\.layernorm\.", "attn_pool.norm."),
    (r"^head\.mlp\.", "attn_pool.mlp."),
)


def from_transformers(state: State, network: nn.Module) -> State:
    """The keys of transformers' SiglipVisionModel; position embeddings are resampled to the network's grid of patches."""
    result = joined(renamed(state, RULES), ("q_proj", "k_proj", "v_proj"), "qkv")
    for kind in ("weight", "bias"):
        stacked = result.pop(f"attn_pool.in_proj.{kind}", None)
        if stacked is not None:
            q, k, v = stacked.chunk(3)
            result |= {f"attn_pool.q.{kind}": q, f"attn_pool.kv.{kind}": torch.cat((k, v))}
    if "pos_embed" in result:
        result["pos_embed"] = resampled(result["pos_embed"], cast(Any, network).patch_embed.grid_size)
    return result


def resampled(positions: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Position embeddings (P, d) of a square grid -> (1, rows * columns, d), bicubic without antialiasing.

    This is what transformers does (`interpolate_pos_encoding`), but in float32 whatever the checkpoint's precision. Raises ValueError
    where the given grid is not square.
    """
    side = isqrt(len(positions))
    if side * side != len(positions):
        raise ValueError(f"{len(positions)} position embeddings are not those of a square grid")
    image = positions.T.reshape(1, -1, side, side)
    if grid != (side, side):
        image = nn.functional.interpolate(image.float(), grid, mode="bicubic", align_corners=False)
    return image.flatten(2).transpose(1, 2).contiguous()


SPEC = BackboneSpec(
    name="medgemma",
    title="MedGemma image tower (MedSigLIP-448)",
    build=partial(build, SO400M),
    dimension=SO400M.width,
    field_mm=(224, 224),
    input_px=(448, 448),
    cpu_input_px=(224, 224),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    level="slice",
    pooling="MedSigLIP's attention pooling; of a MedGemma 4B checkpoint, which has none, the mean over patch tokens after the last norm",
    formats=(
        KeyFormat(
            "medsiglip",
            marker=r"(vision_model\.)?head\.probe",
            reads=r"(?!.*\.position_ids$)(vision_model\.)?(embeddings|encoder|post_layernorm|head)\..*",
            convert=from_transformers,
        ),
        KeyFormat(
            "medgemma_4b",
            marker=r"(model\.)?vision_tower\.(vision_model\.)?embeddings\.position_embedding\.weight",
            reads=r"(?!.*\.position_ids$)(model\.)?vision_tower\..*",
            convert=from_transformers,
            options={"pooling": "mean"},
        ),
    ),
    lora_targets=VIT_TARGETS,
    licence="Health AI Developer Foundations terms",
    licence_url="https://developers.google.com/health-ai-developer-foundations/terms",
    hub_id="google/medsiglip-448",
)
