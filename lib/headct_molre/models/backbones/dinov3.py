"""DINOv3 ViT-B/16 and ViT-L/16 through timm, with the CLS token as slice feature.

Paper: Siméoni et al., "DINOv3", arXiv 2508.10104. Code and weights: facebookresearch/dinov3, under the DINOv3 License. The weights are
published in three layouts, all of which are read: timm's, Hugging Face's and Meta's own (as safetensors; a pickle is never loaded).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ...compat import declare_torchvision_operators
from ..lora import VIT_TARGETS
from .keys import joined, renamed
from .spec import IMAGENET_MEAN, IMAGENET_STD, BackboneSpec, KeyFormat, State


@dataclass(frozen=True)
class Sizes:
    """Width, depth and heads of a ViT with patches of 16 px."""

    width: int
    depth: int
    heads: int


BASE = Sizes(width=768, depth=12, heads=12)
LARGE = Sizes(width=1024, depth=24, heads=16)


def build(sizes: Sizes, input_px: tuple[int, int]) -> nn.Module:
    """The network with qkv biases, as the original checkpoints have them: (N, 3, H, W) -> (N, width), H and W multiples of 16.

    The pooling is upstream's CLS token after the last norm; timm's default is the mean of the patch tokens.
    """
    declare_torchvision_operators()
    import timm

    network = timm.create_model(
        "vit_base_patch16_dinov3_qkvb",
        pretrained=False,
        num_classes=0,
        global_pool="token",
        img_size=input_px,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
    )
    for block in network.blocks:
        # Otherwise the attention takes the weight out of its qkv linear and never calls it, which passes by a LoRA put around it.
        block.attn.qkv_bias_separate = True
    return network


def from_timm(state: State, network: nn.Module) -> State:
    """timm's keys. Its variants without qkv bias leave out biases that are zero in the released weights."""
    biases = [name for name in network.state_dict() if name.endswith((".q_bias", ".v_bias"))]
    if any(name in state for name in biases):
        return state
    own = network.state_dict()
    return state | {name: torch.zeros_like(own[name], device="cpu") for name in biases}


# transformers keeps its blocks in `model.layer`, the files on the hub in `layer`.
HUGGING_FACE_RULES = (
    (r"^embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.", ""),
    (r"^(model\.)?layer\.", "blocks."),
    (r"\.attention\.q_proj\.bias$", ".attn.q_bias"),
    (r"\.attention\.v_proj\.bias$", ".attn.v_bias"),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.attention\.", ".attn."),
    (r"\.layer_scale([12])\.lambda1$", r".gamma_\1"),
    (r"\.mlp\.up_proj\.", ".mlp.fc1."),
    (r"\.mlp\.down_proj\.", ".mlp.fc2."),
)


def from_hugging_face(state: State, network: nn.Module) -> State:
    """The keys of transformers' DINOv3ViTModel; k has no bias there either."""
    return joined(renamed(state, HUGGING_FACE_RULES), ("q_proj", "k_proj", "v_proj"), "qkv")


META_RULES = ((r"^storage_tokens$", "reg_token"), (r"\.ls([12])\.gamma$", r".gamma_\1"))


def from_meta(state: State, network: nn.Module) -> State:
    """The keys of facebookresearch/dinov3, whose fused qkv bias counts only where its mask is 1: never for k.

    Raises ValueError for a mask that lets a bias of k through, which the network has no place for.
    """
    result = renamed(state, META_RULES)
    for key in [key for key in result if key.endswith(".qkv.bias")]:
        attention = key.removesuffix("qkv.bias")
        bias = result.pop(key)
        mask = result.pop(f"{attention}qkv.bias_mask", None)
        q, k, v = (bias if mask is None else torch.where(mask != 0, bias, 0)).chunk(3)
        if k.any():
            raise ValueError(f"{key} has a bias of k, which DINOv3 masks")
        result |= {f"{attention}q_bias": q, f"{attention}v_bias": v}
    return result


DINOV3_BASE = BackboneSpec(
    name="dinov3_base",
    title="DINOv3 ViT-B/16",
    build=partial(build, BASE),
    dimension=BASE.width,
    field_mm=(224, 224),
    input_px=(224, 224),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    level="slice",
    pooling="CLS token after the last norm",
    formats=(
        KeyFormat("timm", marker=r"reg_token", convert=from_timm),
        KeyFormat(
            "hugging_face",
            marker=r"embeddings\.register_tokens",
            reads=r"(?!embeddings\.mask_token$|rope_embeddings\.).*",
            convert=from_hugging_face,
        ),
        # The rotary periods are recomputed: the stored ones are the same numbers, rounded to bfloat16.
        KeyFormat("meta", marker=r"storage_tokens", reads=r"(?!mask_token$|rope_embed\.).*", convert=from_meta),
    ),
    lora_targets=VIT_TARGETS,
    licence="DINOv3 License",
    licence_url="https://ai.meta.com/resources/models-and-libraries/dinov3-license/",
    hub_id="timm/vit_base_patch16_dinov3_qkvb.lvd1689m",
)

DINOV3_LARGE = replace(
    DINOV3_BASE,
    name="dinov3_large",
    title="DINOv3 ViT-L/16",
    build=partial(build, LARGE),
    dimension=LARGE.width,
    hub_id="timm/vit_large_patch16_dinov3_qkvb.lvd1689m",
)
