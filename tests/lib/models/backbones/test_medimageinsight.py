"""MedImageInsight: the published sizes, and the released layout gives the features of DaViT as its paper states it."""

import re

import pytest
import torch
from torch import nn

from headct_molre.errors import ModelUnavailable
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.lora import add_lora
from lora_effect import assert_lora_learns_and_merges
from small_backbones.loading import formats_that_fit, loaded, loaded_backbone
from small_backbones.medimageinsight import SIZES, SMALL, release

SMALL_SPEC = SMALL["medimageinsight"].spec


class PlainDaViT:
    """DaViT written down from arXiv 2204.03645 on maps (N, H, W, C), with the weights under their released names."""

    def __init__(self, state, sizes):
        self.state, self.sizes = state, sizes

    def linear(self, x, name):
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, x, name):
        deviation = x - x.mean(-1, keepdim=True)
        unit = deviation / (deviation.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return unit * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def convolution(self, x, name, **options):
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, **options).permute(0, 2, 3, 1)

    def position(self, x, name):
        return x + self.convolution(x, f"{name}.fn.dw", padding=1, groups=x.shape[-1])

    def window_attention(self, x, name, heads):
        """Softmax attention among the places of each window; a map that windows do not fill is padded with zeros after the norm."""
        _, height, width, channels = x.shape
        side, head = self.sizes.window, channels // heads
        padded = nn.functional.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        result = torch.zeros_like(padded)
        for top in range(0, padded.shape[1], side):
            for left in range(0, padded.shape[2], side):
                window = padded[:, top : top + side, left : left + side].flatten(1, 2)
                q, k, v = self.linear(window, f"{name}.qkv").chunk(3, -1)
                mixed = []
                for h in range(heads):
                    part = slice(h * head, (h + 1) * head)
                    weights = (q[..., part] @ k[..., part].transpose(1, 2) / head**0.5).softmax(-1)
                    mixed.append(weights @ v[..., part])
                output = self.linear(torch.cat(mixed, -1), f"{name}.proj")
                result[:, top : top + side, left : left + side] = output.unflatten(1, (side, side))
        return result[:, :height, :width]

    def channel_attention(self, x, name, groups):
        """Softmax attention among the channels of each group over all N places, scaled by N^-0.5."""
        places = x.flatten(1, 2)
        count, group = places.shape[1], places.shape[2] // groups
        q, k, v = self.linear(places, f"{name}.qkv").chunk(3, -1)
        mixed = []
        for g in range(groups):
            part = slice(g * group, (g + 1) * group)
            weights = (q[..., part].transpose(1, 2) @ k[..., part] / count**0.5).softmax(-1)
            mixed.append(v[..., part] @ weights.transpose(1, 2))
        return self.linear(torch.cat(mixed, -1), f"{name}.proj").reshape(x.shape)

    def block(self, x, name, kind, heads):
        attention = self.window_attention if kind == "window" else self.channel_attention
        x = self.position(x, f"{name}.conv1")
        x = x + attention(self.norm(x, f"{name}.{kind}_attn.norm"), f"{name}.{kind}_attn.fn", heads)
        x = self.position(x, f"{name}.conv2")
        hidden = nn.functional.gelu(self.linear(self.norm(x, f"{name}.ffn.norm"), f"{name}.ffn.fn.net.fc1"))
        return x + self.linear(hidden, f"{name}.ffn.fn.net.fc2")

    def __call__(self, slices):
        x = slices.permute(0, 2, 3, 1)
        for stage, (depth, heads) in enumerate(zip(self.sizes.depths, self.sizes.heads, strict=True)):
            embedding = f"image_encoder.convs.{stage}"
            if stage == 0:
                x = self.norm(self.convolution(x, f"{embedding}.proj", stride=4, padding=3), f"{embedding}.norm")
            else:
                x = self.convolution(self.norm(x, f"{embedding}.norm"), f"{embedding}.proj", stride=2, padding=1)
            for index in range(depth):
                x = self.block(x, f"image_encoder.blocks.{stage}.{index}.spatial_block", "window", heads)
                x = self.block(x, f"image_encoder.blocks.{stage}.{index}.channel_block", "channel", heads)
        return self.norm(x.mean((1, 2)), "image_encoder.norms") @ self.state["image_projection"]


@pytest.fixture(scope="module")
def state():
    return release(seed=1)


def slices(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (80, 48)])
@torch.no_grad()
def test_is_the_davit_of_the_paper(state, size):
    """16 x 16 places in the first stage are not filled by windows of 5, 20 x 12 only in height."""
    x = slices(*size)
    torch.testing.assert_close(loaded(SMALL_SPEC, state)(x), PlainDaViT(state, SIZES)(x), atol=1e-5, rtol=1e-5)


def test_text_tower_and_scale_are_skipped_and_nothing_else(state):
    (layout,) = formats_that_fit(SMALL_SPEC, state)
    skipped = {name for name in state if not re.fullmatch(layout.reads, name)}
    assert skipped == {name for name in state if name.startswith(("lang_", "logit_scale"))}
    assert len(skipped) == 5


@pytest.mark.parametrize(
    "lost", ["image_projection", "image_encoder.norms.weight", "image_encoder.blocks.2.1.channel_block.channel_attn.fn.qkv.bias"]
)
def test_a_lost_tensor_is_not_made_up(state, lost):
    with pytest.raises(ModelUnavailable, match=r"Missing: (?!none)"):
        loaded(SMALL_SPEC, {name: tensor for name, tensor in state.items() if name != lost})


@torch.no_grad()
def test_every_tensor_of_a_stage_counts(state):
    x = slices(32, 32)
    before = loaded(SMALL_SPEC, state)(x)
    names = [name for name in state if re.match(r"image_encoder\.(convs|blocks)\.1\.|image_encoder\.norms|image_projection", name)]
    assert len(names) == 4 + 2 * 16 + 2 + 1
    for name in names:
        step = torch.linspace(0, 1, state[name].numel()).view(state[name].shape)
        assert (loaded(SMALL_SPEC, state | {name: state[name] + step})(x) - before).abs().max() > 1e-4, name


def test_lora_reaches_both_attentions_and_merges(state):
    torch.manual_seed(0)
    backbone = loaded_backbone(SMALL_SPEC, state)
    assert add_lora(backbone, SMALL_SPEC.lora_targets) == 2 * 2 * sum(SIZES.depths) + 1
    assert_lora_learns_and_merges(backbone, torch.rand(2, 3, 64, 64))


def test_the_davit_is_the_published_one():
    with torch.device("meta"):
        backbone = NormalisedBackbone(backbone_spec("medimageinsight"))
    assert round(sum(parameter.numel() for parameter in backbone.network.davit.parameters()) / 1e6, 3) == 360.636
