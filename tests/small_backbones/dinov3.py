"""DINOv3 with few and narrow blocks, and the same random weights in all three published layouts.

Hugging Face's layout comes from transformers' own network, Meta's from it by the names in facebookresearch/dinov3, and timm's from Meta's
by timm's own converter.
"""

import re
from dataclasses import replace
from functools import partial

import torch

from headct_molre.compat import declare_torchvision_operators
from headct_molre.models.backbones.dinov3 import DINOV3_BASE, DINOV3_LARGE, Sizes, build
from small_backbones import Small
from small_backbones.random_weights import random_weights

SIZES = {"dinov3_base": Sizes(width=48, depth=2, heads=3), "dinov3_large": Sizes(width=64, depth=3, heads=4)}
INPUT_PX = (64, 64)


def transformers_network(sizes: Sizes, seed: int) -> torch.nn.Module:
    """transformers' DINOv3ViTModel with random weights."""
    declare_torchvision_operators()
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=sizes.width,
        intermediate_size=4 * sizes.width,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.heads,
        num_register_tokens=4,
    )
    network = DINOv3ViTModel(config).eval()
    network.load_state_dict(random_weights(network.state_dict(), seed))
    return network


def hugging_face(sizes: Sizes, seed: int) -> dict[str, torch.Tensor]:
    """As in the files on the hub, whose blocks are `layer`, not `model.layer`."""
    return {name.removeprefix("model."): tensor for name, tensor in transformers_network(sizes, seed).state_dict().items()}


META_NAMES = {
    "embeddings.patch_embeddings.": "patch_embed.proj.",
    "embeddings.register_tokens": "storage_tokens",
    "embeddings.": "",
    "layer.": "blocks.",
    "attention.o_proj.": "attn.proj.",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.up_proj.": "mlp.fc1.",
    "mlp.down_proj.": "mlp.fc2.",
}


def meta(sizes: Sizes, seed: int) -> dict[str, torch.Tensor]:
    """As facebookresearch/dinov3 saves it: fused qkv whose bias of k is masked, and rotary periods in bfloat16."""
    state = hugging_face(sizes, seed)
    result = {}
    for name, tensor in state.items():
        if re.search(r"attention\.[qkv]_proj", name):
            continue
        for old, new in META_NAMES.items():
            name = name.replace(old, new)
        result[name] = tensor
    for block in range(sizes.depth):
        attention = f"layer.{block}.attention"
        weights = [state[f"{attention}.{part}_proj.weight"] for part in "qkv"]
        ones = torch.ones(sizes.width)
        biases = (state[f"{attention}.q_proj.bias"], 3 * ones, state[f"{attention}.v_proj.bias"])
        result[f"blocks.{block}.attn.qkv.weight"] = torch.cat(weights)
        result[f"blocks.{block}.attn.qkv.bias"] = torch.cat(biases)
        result[f"blocks.{block}.attn.qkv.bias_mask"] = torch.cat((ones, 0 * ones, ones))
    result["mask_token"] = result["mask_token"][0]
    head = sizes.width // sizes.heads
    result["rope_embed.periods"] = (100 ** (torch.arange(head // 4) * 4 / head)).bfloat16()
    return result


def timm(sizes: Sizes, seed: int) -> dict[str, torch.Tensor]:
    """As timm's `_qkvb` variants have it."""
    network = build(sizes, INPUT_PX)
    from timm.models.eva import checkpoint_filter_fn

    return checkpoint_filter_fn(meta(sizes, seed), network)


def small(spec, sizes: Sizes) -> Small:
    """The reduced form of one size of DINOv3."""
    reduced = replace(spec, build=partial(build, sizes), dimension=sizes.width, input_px=INPUT_PX)
    return Small(reduced, {layout.__name__: partial(layout, sizes) for layout in (timm, hugging_face, meta)})


SMALL = {spec.name: small(spec, SIZES[spec.name]) for spec in (DINOV3_BASE, DINOV3_LARGE)}
