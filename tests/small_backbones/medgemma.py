"""MedSigLIP and MedGemma with small towers, as whole checkpoints of transformers' own networks, text towers included."""

from dataclasses import replace
from functools import cache, partial

import torch

from headct_molre.compat import declare_torchvision_operators
from headct_molre.models.backbones.medgemma import SPEC, Sizes, build
from small_backbones import Small
from small_backbones.random_weights import random_weights

SIZES = Sizes(width=48, depth=2, heads=4, hidden=68)
MEDSIGLIP_PX, MEDGEMMA_PX = 56, 112


def vision(image_px: int) -> dict[str, int]:
    """transformers' words for the tower."""
    return {
        "hidden_size": SIZES.width,
        "num_hidden_layers": SIZES.depth,
        "num_attention_heads": SIZES.heads,
        "intermediate_size": SIZES.hidden,
        "patch_size": 14,
        "image_size": image_px,
    }


@cache
def siglip_network(seed: int) -> torch.nn.Module:
    """transformers' SiglipModel with random weights; its tower is `vision_model`."""
    declare_torchvision_operators()
    from transformers import SiglipConfig, SiglipModel

    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 20}
    tokens = {"bos_token_id": 1, "eos_token_id": 1, "max_position_embeddings": 8}
    network = SiglipModel(SiglipConfig(text_config=text | tokens, vision_config=vision(MEDSIGLIP_PX))).eval()
    network.load_state_dict(random_weights(network.state_dict(), seed))
    return network


@cache
def gemma_network(seed: int) -> torch.nn.Module:
    """transformers' Gemma3ForConditionalGeneration with random weights; its tower, without pooling, is `model.vision_tower`."""
    declare_torchvision_operators()
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Gemma3Config(
        text_config=text | {"head_dim": 8, "vocab_size": 30},
        vision_config=vision(MEDGEMMA_PX) | {"vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=27,
        eoi_token_index=28,
        image_token_index=29,
    )
    network = Gemma3ForConditionalGeneration(config).eval()
    network.load_state_dict(random_weights(network.state_dict(), seed))
    return network


def medsiglip(seed: int) -> dict[str, torch.Tensor]:
    """As google/medsiglip-448 has it."""
    return dict(siglip_network(seed).state_dict())


PUBLISHED_NAMES = {
    "model.vision_tower.": "vision_tower.vision_model.",
    "model.multi_modal_projector.": "multi_modal_projector.",
    "model.language_model.": "language_model.model.",
}


def medgemma_4b(seed: int) -> dict[str, torch.Tensor]:
    """As google/medgemma-4b-it has it: names from before transformers 5, no `lm_head`, in bfloat16."""
    result = {}
    for name, tensor in gemma_network(seed).state_dict().items():
        for now, published in PUBLISHED_NAMES.items():
            name = name.replace(now, published)
        result[name] = tensor.bfloat16()
    del result["lm_head.weight"]
    return result


REDUCED = replace(SPEC, build=partial(build, SIZES), dimension=SIZES.width, input_px=(56, 56), cpu_input_px=(28, 28))
SMALL = {"medgemma": Small(REDUCED, {"medsiglip": medsiglip, "medgemma_4b": medgemma_4b})}
