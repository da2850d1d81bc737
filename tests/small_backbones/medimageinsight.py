"""MedImageInsight with narrow stages and windows of 5, in the layout of the released file, text tower and scale included."""

from dataclasses import replace
from functools import partial

import torch

from headct_molre.models.backbones.medimageinsight import SPEC, Sizes, build
from small_backbones import Small
from small_backbones.random_weights import random_weights

SIZES = Sizes(widths=(16, 24, 32, 48), depths=(1, 1, 2, 1), heads=(2, 3, 4, 6), window=5, dimension=24)


def linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a linear."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a LayerNorm."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def convolution(name: str, inputs: int, outputs: int, side: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a square convolution."""
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def block(name: str, attention: str, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a block: position convolution, attention, position convolution, MLP."""
    return {
        **convolution(f"{name}.conv1.fn.dw", 1, width, 3),
        **norm(f"{name}.{attention}.norm", width),
        **linear(f"{name}.{attention}.fn.qkv", width, 3 * width),
        **linear(f"{name}.{attention}.fn.proj", width, width),
        **convolution(f"{name}.conv2.fn.dw", 1, width, 3),
        **norm(f"{name}.ffn.norm", width),
        **linear(f"{name}.ffn.fn.net.fc1", width, 4 * width),
        **linear(f"{name}.ffn.fn.net.fc2", 4 * width, width),
    }


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Every tensor of the released file, the text tower cut to two of its tensors."""
    result: dict[str, tuple[int, ...]] = {}
    for stage, (width, depth) in enumerate(zip(sizes.widths, sizes.depths, strict=True)):
        before = sizes.widths[stage - 1] if stage else 3
        result |= convolution(f"image_encoder.convs.{stage}.proj", before, width, 3 if stage else 7)
        result |= norm(f"image_encoder.convs.{stage}.norm", before if stage else width)
        for index in range(depth):
            result |= block(f"image_encoder.blocks.{stage}.{index}.spatial_block", "window_attn", width)
            result |= block(f"image_encoder.blocks.{stage}.{index}.channel_block", "channel_attn", width)
    result |= norm("image_encoder.norms", sizes.widths[-1])
    result |= {"image_projection": (sizes.widths[-1], sizes.dimension), "lang_projection": (8, sizes.dimension), "logit_scale": ()}
    return result | norm("lang_encoder.ln_final", 8) | {"lang_encoder.token_embedding.weight": (20, 8)}


def release(seed: int) -> dict[str, torch.Tensor]:
    """A whole checkpoint of the release."""
    return random_weights({name: torch.empty(shape) for name, shape in shapes(SIZES).items()}, seed)


REDUCED = replace(SPEC, build=partial(build, SIZES), dimension=SIZES.dimension, input_px=(64, 64), cpu_input_px=(32, 32))
SMALL = {"medimageinsight": Small(REDUCED, {"release": release})}
