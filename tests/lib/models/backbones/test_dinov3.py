"""DINOv3: the published sizes, and the published weights in all their layouts give transformers' CLS token."""

import pytest
import torch

from headct_molre.errors import ModelUnavailable
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.lora import add_lora, lora_parameters, merge_lora
from small_backbones.dinov3 import SIZES, SMALL, transformers_network
from small_backbones.loading import formats_that_fit, loaded

LAYOUTS = ("timm", "hugging_face", "meta")
BASE = SMALL["dinov3_base"]
NOT_SQUARE = (48, 80)


def slices(height, width, seed=0):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_is_transformers_network_in_every_layout(name, layout):
    network = loaded(SMALL[name].spec, SMALL[name].official[layout](seed=1))
    reference = transformers_network(SIZES[name], seed=1)
    for size in ((64, 64), NOT_SQUARE):
        x = slices(*size)
        expected = reference(x).last_hidden_state
        torch.testing.assert_close(network(x), expected[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network.forward_features(x), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_reads_the_names_that_transformers_has_now():
    reference = transformers_network(SIZES["dinov3_base"], seed=1)
    assert "model.layer.0.norm1.weight" in reference.state_dict()
    x = slices(64, 64)
    torch.testing.assert_close(loaded(BASE.spec, reference.state_dict())(x), reference(x).pooler_output, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_file_without_qkv_bias_is_one_with_bias_zero():
    state = BASE.official["timm"](seed=1)
    without = {name: tensor for name, tensor in state.items() if not name.endswith(("q_bias", "v_bias"))}
    assert len(without) == len(state) - 4
    reference = transformers_network(SIZES["dinov3_base"], seed=1)
    for name, parameter in reference.named_parameters():
        if name.endswith(("q_proj.bias", "v_proj.bias")):
            parameter.zero_()
    x = slices(64, 64)
    torch.testing.assert_close(loaded(BASE.spec, without)(x), reference(x).pooler_output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_told_apart(layout):
    assert [found.name for found in formats_that_fit(BASE.spec, BASE.official[layout](seed=0))] == [layout]


@pytest.mark.parametrize(
    ("layout", "lost"),
    [
        ("timm", "blocks.1.attn.v_bias"),
        ("timm", "blocks.1.gamma_2"),
        ("hugging_face", "layer.1.attention.k_proj.weight"),
        ("hugging_face", "layer.1.attention.v_proj.bias"),
        ("meta", "blocks.1.attn.qkv.weight"),
        ("meta", "blocks.1.attn.qkv.bias"),
    ],
)
def test_a_lost_tensor_is_not_made_up(layout, lost):
    state = BASE.official[layout](seed=0)
    del state[lost]
    with pytest.raises(ModelUnavailable, match=r"blocks\.1\."):
        loaded(BASE.spec, state)


def test_a_bias_of_k_is_not_dropped():
    state = BASE.official["meta"](seed=0)
    state["blocks.0.attn.qkv.bias_mask"][:] = 1
    with pytest.raises(ModelUnavailable, match="bias of k"):
        loaded(BASE.spec, state)
    state = BASE.official["hugging_face"](seed=0)
    state["layer.0.attention.k_proj.bias"] = torch.ones(48)
    with pytest.raises(ModelUnavailable, match="k_proj"):
        loaded(BASE.spec, state)


@pytest.mark.parametrize("changed", ["reg_token", "blocks.0.attn.q_bias", "blocks.1.attn.v_bias", "blocks.1.gamma_2", "norm.bias"])
@torch.no_grad()
def test_every_tensor_counts(changed):
    state = BASE.official["timm"](seed=1)
    x = slices(64, 64)
    before = loaded(BASE.spec, state)(x)
    state[changed] = state[changed] + torch.linspace(0, 1, state[changed].shape[-1])
    assert (loaded(BASE.spec, state)(x) - before).abs().max() > 1e-3


def test_lora_reaches_q_k_and_v_and_merges():
    torch.manual_seed(0)
    backbone = NormalisedBackbone(BASE.spec)
    backbone.network.load_state_dict(BASE.official["timm"](seed=1))
    backbone.eval()
    x = torch.rand(2, 3, 64, 64)
    before = backbone(x)
    assert add_lora(backbone, BASE.spec.lora_targets) == 5
    torch.testing.assert_close(backbone(x), before, atol=1e-5, rtol=1e-5)
    for parameter in lora_parameters(backbone):
        torch.nn.init.normal_(parameter, std=0.1)
    moved = backbone(x)
    moved.square().sum().backward()
    gradient = backbone.network.blocks[0].attn.qkv.lora_up.grad
    assert all(gradient[part].abs().max() > 1e-4 for part in range(3))
    merge_lora(backbone)
    torch.testing.assert_close(backbone(x), moved, atol=1e-4, rtol=1e-4)
    assert (moved - before).abs().max() > 1e-2
