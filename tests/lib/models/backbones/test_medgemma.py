"""MedGemma: the published sizes, and MedSigLIP's and MedGemma 4B's checkpoints give transformers' features at every input size."""

import pytest
import torch

from headct_molre.errors import ModelUnavailable
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.medgemma import resampled
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.lora import add_lora, lora_parameters
from lora_effect import assert_lora_learns_and_merges
from small_backbones.loading import formats_that_fit, loaded, loaded_backbone
from small_backbones.medgemma import SMALL, gemma_network, medgemma_4b, medsiglip, siglip_network

SMALL_SPEC = SMALL["medgemma"].spec
SQUARE, ON_CPU, NOT_SQUARE = (56, 56), (28, 28), (42, 70)


def slices(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def medsiglip_tower():
    """transformers' name of the tower alone."""
    return {name.removeprefix("vision_model."): tensor for name, tensor in siglip_network(1).vision_model.state_dict().items()}


@pytest.mark.parametrize("size", [SQUARE, ON_CPU, NOT_SQUARE])
@torch.no_grad()
def test_medsiglip_is_transformers_network_with_its_pooling(size):
    x = slices(*size)
    expected = siglip_network(1).vision_model(x, interpolate_pos_encoding=True).pooler_output
    for state in (medsiglip(1), medsiglip_tower()):
        torch.testing.assert_close(loaded(SMALL_SPEC, state, size)(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [SQUARE, (112, 112), NOT_SQUARE])
@torch.no_grad()
def test_medgemma_is_the_mean_of_transformers_patch_tokens(size):
    """An own size of 112 px here stands for the 896 px of the 4B model."""
    x = slices(*size)
    reference = gemma_network(1)
    expected = reference.model.vision_tower(x, interpolate_pos_encoding=True).last_hidden_state.mean(1)
    torch.testing.assert_close(loaded(SMALL_SPEC, dict(reference.state_dict()), size)(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prefix", ["model.vision_tower.vision_model.", "model.vision_tower.", "vision_tower."])
@torch.no_grad()
def test_medgemma_is_read_under_all_its_names(prefix):
    published = medgemma_4b(1)
    assert all(not name.startswith("model.") for name in published)
    state = {name.replace("vision_tower.vision_model.", prefix): tensor for name, tensor in published.items()}
    x = slices(*SQUARE)
    assert torch.equal(loaded(SMALL_SPEC, state)(x), loaded(SMALL_SPEC, published)(x))


def test_checkpoints_are_told_apart():
    for state, name in [
        (medsiglip(0), "medsiglip"),
        (medsiglip_tower(), "medsiglip"),
        (medgemma_4b(0), "medgemma_4b"),
        (dict(gemma_network(0).state_dict()), "medgemma_4b"),
    ]:
        assert [found.name for found in formats_that_fit(SMALL_SPEC, state)] == [name]


@pytest.mark.parametrize(
    ("official", "lost"),
    [
        (medsiglip, "vision_model.head.attention.in_proj_bias"),
        (medsiglip, "vision_model.embeddings.position_embedding.weight"),
        (medsiglip, "vision_model.encoder.layers.1.self_attn.k_proj.weight"),
        (medgemma_4b, "vision_tower.vision_model.post_layernorm.weight"),
    ],
)
def test_a_lost_tensor_is_not_made_up(official, lost):
    state = official(0)
    del state[lost]
    with pytest.raises(ModelUnavailable, match=r"Missing: (?!none)"):
        loaded(SMALL_SPEC, state)


@torch.no_grad()
def test_every_tensor_of_the_tower_counts():
    state, x = medsiglip(1), slices(*SQUARE)
    before = loaded(SMALL_SPEC, state)(x)
    # A bias of k adds the same number to all scores of a query, so it does not count in any attention.
    names = [name for name in state if name.startswith("vision_model.") and not name.endswith("k_proj.bias")]
    assert len(names) == 3 + 2 * 15 + 2 + 11
    for name in names:
        step = torch.linspace(0, 1, state[name].numel()).view(state[name].shape)
        assert (loaded(SMALL_SPEC, state | {name: state[name] + step})(x) - before).abs().max() > 1e-4, name


def test_positions_of_the_own_grid_stay_as_they_are():
    positions = torch.randn(16, 6)
    assert torch.equal(resampled(positions, (4, 4))[0], positions)
    with pytest.raises(ValueError, match="15 position embeddings"):
        resampled(positions[:15], (4, 4))


def test_lora_leaves_the_pooling_alone_and_merges():
    torch.manual_seed(0)
    backbone = loaded_backbone(SMALL_SPEC, medsiglip(1))
    assert add_lora(backbone, SMALL_SPEC.lora_targets) == 2 * 2 + 1
    assert not lora_parameters(backbone.network.attn_pool)
    assert_lora_learns_and_merges(backbone, torch.rand(2, 3, *SQUARE))


def test_the_tower_of_medgemma_4b_is_the_published_one():
    with torch.device("meta"):
        tower = NormalisedBackbone(backbone_spec("medgemma"), (896, 896), pooling="mean")
    assert round(sum(parameter.numel() for parameter in tower.parameters()) / 1e6, 3) == 416.866
