"""Pillar0-HeadCT: the published network to the letter, held against a statement of it in plain loops, and exact parts by depth."""

import re
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.nn import functional

from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.atlas import Atlas, depth_parts
from headct_molre.models.backbones.atlas_scales import scales_of
from headct_molre.models.backbones.spec import NormalisedBackbone, model_input
from small_backbones.pillar0_headct import SIZE, SMALL, official

SPEC = backbone_spec("pillar0_headct")
(FORMAT,) = SPEC.formats


def loaded(size=SIZE, seed=0):
    """The reduced network with weights read from the published format."""
    read = {key: tensor for key, tensor in official(seed, size).items() if re.fullmatch(FORMAT.reads, key)}
    network = Atlas(size)
    network.load_state_dict(FORMAT.convert(read, network))
    return network.eval()


def volume(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Plain:
    """The network in loops over windows, tokens and heads, from the keys as they are published; one volume at a time, in float64."""

    def __init__(self, state, size):
        self.state = {key.removeprefix("model.visual."): tensor.double() for key, tensor in state.items()}
        self.size = size

    def linear(self, name, x):
        y = x @ self.state[f"{name}.weight"].T
        return y + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else y

    def layer_norm(self, name, x, eps):
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred**2).mean(-1, keepdim=True)
        return centred / (variance + eps).sqrt() * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def batch_norm(self, name, x, eps):
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + eps).sqrt() * weight + bias

    def convolution(self, name, x, stride=1):
        return functional.conv3d(x[None], self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, 1)[0]

    def stem(self, x):
        """(C, D, H, W) -> (D / 4, H / 8, W / 8, width)."""
        name = "patch_embeds.brain_ct"
        for at, stride in enumerate(((1, 2, 2), 2, 1)):
            x = self.convolution(f"{name}.conv_down.{3 * at}", x, stride)
            x = self.batch_norm(f"{name}.conv_down.{3 * at + 1}", x, 1e-4).clamp(min=0)
        for at in range(self.size.stem_blocks):
            inner = self.convolution(f"{name}.conv1.{at}.conv1", x)
            inner = functional.gelu(self.batch_norm(f"{name}.conv1.{at}.norm1", inner, 1e-5))
            inner = self.convolution(f"{name}.conv1.{at}.conv2", inner)
            x = x + self.batch_norm(f"{name}.conv1.{at}.norm2", inner, 1e-5)
        x = self.layer_norm(f"{name}.ds1.norm", x.permute(1, 2, 3, 0), 1e-6).permute(3, 0, 1, 2)
        return self.convolution(f"{name}.ds1.reduction.0", x, 2).permute(1, 2, 3, 0)

    def pooled(self, x):
        """The largest token of each box of the pooling's size."""
        step = self.size.pool
        shape = [side // part for side, part in zip(x.shape[:3], step, strict=True)]
        y = torch.empty(*shape, x.shape[3], dtype=x.dtype)
        for cell in product(*map(range, shape)):
            box = tuple(slice(at * part, (at + 1) * part) for at, part in zip(cell, step, strict=True))
            y[cell] = x[box].amax((0, 1, 2))
        return y

    def windows(self, x):
        """The boxes of a scale's windows, by depth, then row, then column."""
        sides = self.size.window if all(n >= m for n, m in zip(x.shape[:3], self.size.window, strict=True)) else x.shape[:3]
        starts = [range(0, n, m) for n, m in zip(x.shape[:3], sides, strict=True)]
        return [tuple(slice(at, at + m) for at, m in zip(start, sides, strict=True)) for start in product(*starts)]

    def attend(self, name, queries, keys_values):
        """Softmax attention of tokens (T, C) to a list of (keys, values), head by head."""
        keys, values = (torch.cat(parts) for parts in zip(*keys_values, strict=True))
        queries = self.linear(f"{name}.attn.q", self.layer_norm(f"{name}.norm1_q", queries, 1e-5))
        width = queries.shape[1] // self.size.heads
        outputs = []
        for head in range(self.size.heads):
            part = slice(head * width, (head + 1) * width)
            weights = (queries[:, part] @ keys[:, part].T / width**0.5).softmax(1)
            outputs.append(weights @ values[:, part])
        return self.linear(f"{name}.attn.proj", torch.cat(outputs, 1))

    def keys_values(self, name, tokens):
        both = self.linear(f"{name}.attn.kv", self.layer_norm(f"{name}.norm1_kv", tokens, 1e-5))
        return both.split(both.shape[1] // 2, 1)

    def mlp(self, name, x):
        inner = functional.gelu(self.linear(f"{name}.mlp.fc1", self.layer_norm(f"{name}.norm2", x, 1e-5)))
        return x + self.linear(f"{name}.mlp.fc2", inner)

    def block(self, name, scales):
        scales = [x.clone() for x in scales]
        windows = [self.windows(x) for x in scales]
        for at, x in enumerate(scales):
            depth, height, width = x[windows[at][0]].shape[:3]
            places = []
            for place in product(range(height), range(width), range(depth)):
                places.append([(i - n // 2) / (n // 2) if n > 1 else 0.0 for i, n in zip(place, (height, width, depth), strict=True)])
            inner = self.linear(f"{name}.posemb.{at}.cpb_mlp.0", torch.tensor(places, dtype=torch.float64)).clamp(min=0)
            embedding = self.linear(f"{name}.posemb.{at}.cpb_mlp.2", inner)
            for box in windows[at]:
                x[box] += embedding.reshape(x[box].shape)
        for at in range(len(scales) - 1):
            scales[at + 1] += self.pooled(scales[at])

        def part(at, window):
            return scales[at][windows[at][window]].flatten(0, 2)

        for at in reversed(range(len(scales))):
            updated = torch.empty_like(scales[at])
            for n, box in enumerate(windows[at]):
                seen = [self.keys_values(f"{name}.blocks.{at}", part(at, n))]
                for coarser in range(at + 1, len(scales)):
                    window = n // (len(windows[at]) // len(windows[coarser]))
                    seen.append(self.keys_values(f"{name}.blocks.{coarser}", part(coarser, window)))
                attended = part(at, n) + self.attend(f"{name}.blocks.{at}", part(at, n), seen)
                updated[box] = self.mlp(f"{name}.blocks.{at}", attended).reshape(updated[box].shape)
            scales[at] = updated
        for at in range(1, len(scales)):
            updated = torch.empty_like(scales[at])
            ratio = [n // m for n, m in zip(scales[at - 1].shape[:3], scales[at].shape[:3], strict=True)]
            for n, box in enumerate(windows[at - 1]):
                under = tuple(slice(side.start // step, side.stop // step) for side, step in zip(box, ratio, strict=True))
                tokens = scales[at][under].flatten(0, 2)
                seen = [self.keys_values(f"{name}.blocks.{at - 1}", part(at - 1, n))]
                attended = tokens + self.attend(f"{name}.blocks.{at}", tokens, seen)
                updated[under] = self.mlp(f"{name}.blocks.{at}", attended).reshape(updated[under].shape)
            scales[at] = updated
        return scales

    def feature(self, x):
        """A volume (C, D, H, W), lowest slice first -> the pooled feature (d,)."""
        x = x.double().flip(1) if self.size.superior_first else x.double()
        scales = [self.stem(x)]
        while len(self.windows(scales[-1])) > 1:
            scales.append(self.pooled(scales[-1]))
        maxima = []
        for stage, depth in enumerate(self.size.depths):
            for block in range(depth):
                scales = self.block(f"atlas_models.{stage}.blocks.{block}", scales)
            maxima.append(scales.pop(0).amax((0, 1, 2)))
        return torch.cat(maxima)


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
