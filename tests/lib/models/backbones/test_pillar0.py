"""Pillar0-HeadCT: the published network to the letter, held against a statement of it in plain loops, and exact parts by depth."""

import re
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.atlas import Atlas, depth_parts
from headct_molre.models.backbones.atlas_scales import scales_of
from headct_molre.models.backbones.spec import NormalisedBackbone, model_input
from plain_atlas import Plain
from small_backbones import loading
from small_backbones.pillar0_headct import SIZE, SMALL, official

SPEC = backbone_spec("pillar0_headct")
(FORMAT,) = SPEC.formats


def loaded(size=SIZE, seed=0):
    """The reduced network, of this size, with weights read from the published format."""
    spec = replace(SMALL["pillar0_headct"].spec, build=lambda input_px: Atlas(size))
    return loading.loaded(spec, official(seed, size))


def volume(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (SIZE, (32, 64, 64)),
        (replace(SIZE, superior_first=False), (32, 64, 32)),
        (replace(SIZE, depths=(1, 2), window=(2, 4, 4)), (16, 64, 64)),
    ],
    ids=["cubes", "read from below, last scale smaller than a window", "flat windows"],
)
def test_network_says_what_the_plain_statement_says(size, shape):
    x = volume(1, size.channels, *shape)
    with torch.no_grad():
        feature = loaded(size)(x).sum(1)[0]
    expected = Plain(official(0, size), size).feature(x[0]).float()
    assert expected.std() > 0.3
    torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-5)


def test_every_published_key_of_the_image_tower_is_used_and_no_other():
    state = official(0)
    read = {key for key in state if re.fullmatch(FORMAT.reads, key)}
    assert read == {key for key in state if key.startswith("model.visual.")}
    assert FORMAT.fits(set(state))
    assert not FORMAT.fits({"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"})
    converted = FORMAT.convert({key: state[key] for key in read}, Atlas(SIZE))
    assert set(converted) == set(Atlas(SIZE).state_dict())
    renamed = {key.replace("brain_ct", "head_ct"): state[key] for key in read}
    assert all(re.fullmatch(FORMAT.reads, key) for key in renamed)
    assert set(FORMAT.convert(renamed, Atlas(SIZE))) == set(converted)


def test_parts_sum_to_the_token_maximum_exactly():
    network, x = loaded(), volume(2, 11, 32, 64, 64)
    with torch.no_grad():
        parts, tokens = network(x), network.tokens(x)
        torch.testing.assert_close(parts[1:], network(x[1:]), atol=1e-5, rtol=1e-5)
    assert parts.shape == (2, 8, SIZE.dimension)
    assert [tuple(scale.shape[1:4]) for scale in tokens] == [(8, 8, 8), (4, 4, 4), (2, 2, 2)]
    torch.testing.assert_close(parts.sum(1), torch.cat([scale.amax((1, 2, 3)) for scale in tokens], 1), atol=0, rtol=0)
    spans = (parts != 0).sum(1)[0].split(SIZE.width)
    assert [set(span.tolist()) for span in spans] == [{1}, {2}, {4}]


def test_a_part_lies_where_the_largest_token_is_and_with_several_at_the_lowest():
    tokens = torch.zeros(1, 4, 2, 2, 3)
    tokens[0, 2, 1, 0, 0] = 5.0
    tokens[0, 1, :, :, 1] = tokens[0, 3, 0, 0, 1] = 2.0
    tokens[..., 2] = -1.0
    parts = depth_parts(tokens, 8)[0]
    torch.testing.assert_close(parts[:, 0], torch.tensor([0, 0, 0, 0, 2.5, 2.5, 0, 0]))
    torch.testing.assert_close(parts[:, 1], torch.tensor([0, 0, 1.0, 1.0, 0, 0, 0, 0]))
    torch.testing.assert_close(parts[:, 2], torch.tensor([-0.5, -0.5, 0, 0, 0, 0, 0, 0]))


@pytest.mark.parametrize("superior_first", [True, False])
@pytest.mark.parametrize("lowest", [4, 20])
def test_a_lesion_is_found_at_its_own_depth(superior_first, lowest):
    network = loaded(replace(SIZE, superior_first=superior_first, stem_blocks=0))
    # Without attention and MLPs, and with a short stem, a token depends on its surroundings alone.
    for name, parameter in network.named_parameters():
        if ".attn.proj." in name or ".mlp.fc2." in name:
            torch.nn.init.zeros_(parameter)
    without = torch.zeros(1, 11, 32, 64, 64)
    with_lesion = without.clone()
    with_lesion[:, :, lowest : lowest + 4, 24:40, 24:40] = 3.0
    with torch.no_grad():
        before, after = network(without)[..., : SIZE.width], network(with_lesion)[..., : SIZE.width]
    risen = (after.sum(1) > before.sum(1) + 0.1)[0]
    assert risen.sum() >= 3
    at = after[0].abs().argmax(0)[risen]
    assert (at - lowest // 4).abs().max() <= 2
    assert (at.float().mean() > 3.5) == (lowest > 16)


def test_size_windows_and_parameters_are_the_published_ones():
    with torch.device("meta"):
        network = SPEC.build(SPEC.input_px)
        parts = network(torch.rand(1, 11, SPEC.depth, *SPEC.input_px), torch.ones(1, SPEC.depth, dtype=torch.bool))
    assert sum(parameter.numel() for parameter in network.parameters()) == 80_373_440
    assert parts.shape == (1, 32, 1152)
    assert [scale.grid for scale in scales_of((32, 32, 32), (4, 4, 4), (4, 4, 4), 3)] == [(8, 8, 8), (2, 2, 2), (1, 1, 1)]
    assert (SPEC.dimension, SPEC.depth % 32) == (1152, 0)
    names = ("lung", "mediastinum", "abdomen", "liver", "bone", "brain", "subdural", "stroke", "temporal bone", "soft tissue", "all")
    named = dict(zip(names, SPEC.windows, strict=True))
    assert named["lung"] == (-1350, 150)
    assert named["bone"] == (-500, 1300)
    assert named["brain"] == (0, 80)
    assert named["subdural"] == (-32.5, 182.5)
    assert named["all"] == (-1024, 3071)


def test_a_volume_that_makes_no_scales_is_refused():
    with pytest.raises(ValueError, match="3 scales"):
        loaded()(volume(1, 11, 16, 32, 32))
    with pytest.raises(ValueError, match="multiples"):
        loaded()(volume(1, 11, 30, 64, 64))


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_says_nearly_the_same(autocast):
    network, x = loaded(), volume(1, 11, 32, 64, 64)
    with torch.no_grad():
        exact = network(x).sum(1)
        if autocast:
            with torch.autocast("cpu", torch.bfloat16):
                rounded = network(x).sum(1).float()
        else:
            rounded = network.bfloat16()(x.bfloat16()).sum(1).float()
    assert functional.cosine_similarity(exact, rounded).item() > 0.995


def test_the_whole_network_can_learn():
    network, x = loaded().train(), volume(1, 11, 32, 64, 64)
    network(x).square().sum().backward()
    # Blocks of scales that a stage has left behind are in the published weights and in no output.
    idle = re.compile(r"atlas_models\.(1\.blocks\.\d+\.(blocks|posemb)\.2|2\.blocks\.\d+\.(blocks|posemb)\.[12])\..*")
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == bool(idle.fullmatch(name)), name
    assert network.stem.conv_down[0].weight.grad.abs().max() > 0


def test_backbone_takes_a_study_as_the_grid_makes_it():
    small = SMALL["pillar0_headct"].spec
    backbone = NormalisedBackbone(small)
    backbone.network.load_state_dict(loaded().state_dict())
    hu = volume(32, 64, 64).numpy() * 2000 - 1000
    slices, mask = model_input(small, hu)
    assert slices.shape == (32, 11, 64, 64)
    assert mask.all()
    with torch.no_grad():
        parts = backbone.eval()(slices[None], mask[None])
        expected = loaded()(slices.transpose(0, 1)[None])
    torch.testing.assert_close(parts, expected)
