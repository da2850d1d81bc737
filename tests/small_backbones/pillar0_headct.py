"""Pillar0-HeadCT with narrow layers, 32 x 64 x 64 voxels and windows of 2 x 2 x 2 tokens."""

from dataclasses import replace

import torch

from headct_molre.imaging.grid import Grid
from headct_molre.models.backbones.atlas import Atlas, AtlasSize
from headct_molre.models.backbones.pillar0_headct import SPEC
from small_backbones import Small

SIZE = AtlasSize(
    stem_widths=(4, 8), stem_blocks=2, depths=(1, 1, 2), heads=2, mlp_ratio=2, position_width=6, window=(2, 2, 2), pool=(2, 2, 2)
)
GRID = Grid("volume-5mm", (5.0, 4.0, 4.0), 64, -70.0, 32, trimmed=False)


def shapes(size: AtlasSize) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the published network's tensors, at a size."""
    first, stem = size.stem_widths
    width, hidden = 2 * stem, size.mlp_ratio * 2 * stem
    found: dict[str, tuple[int, ...]] = {}

    def linear(name: str, read: int, written: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = (written, read)
        if bias:
            found[f"{name}.bias"] = (written,)

    def norm(name: str, channels: int, running: bool = False) -> None:
        found.update({f"{name}.weight": (channels,), f"{name}.bias": (channels,)})
        if running:
            found.update({f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,), f"{name}.num_batches_tracked": ()})

    embed = "patch_embeds.brain_ct"
    for at, (read, written) in enumerate(((size.channels, first), (first, stem), (stem, stem))):
        found[f"{embed}.conv_down.{3 * at}.weight"] = (written, read, 3, 3, 3)
        norm(f"{embed}.conv_down.{3 * at + 1}", written, running=True)
    for at in range(size.stem_blocks):
        for part in (1, 2):
            found[f"{embed}.conv1.{at}.conv{part}.weight"] = (stem, stem, 3, 3, 3)
            found[f"{embed}.conv1.{at}.conv{part}.bias"] = (stem,)
            norm(f"{embed}.conv1.{at}.norm{part}", stem, running=True)
    norm(f"{embed}.ds1.norm", stem)
    found[f"{embed}.ds1.reduction.0.weight"] = (width, stem, 3, 3, 3)
    for stage, depth in enumerate(size.depths):
        for block in range(depth):
            for scale in range(len(size.depths)):
                name = f"atlas_models.{stage}.blocks.{block}.blocks.{scale}"
                for part in ("norm1_q", "norm1_kv", "norm2"):
                    norm(f"{name}.{part}", width)
                linear(f"{name}.attn.q", width, width)
                linear(f"{name}.attn.kv", width, 2 * width)
                linear(f"{name}.attn.proj", width, width)
                linear(f"{name}.mlp.fc1", width, hidden)
                linear(f"{name}.mlp.fc2", hidden, width)
                place = f"atlas_models.{stage}.blocks.{block}.posemb.{scale}.cpb_mlp"
                linear(f"{place}.0", 3, size.position_width)
                linear(f"{place}.2", size.position_width, width, bias=False)
    return found


def official(seed: int, size: AtlasSize = SIZE) -> dict[str, torch.Tensor]:
    """A whole checkpoint with random weights, a piece of the text tower and the CLIP temperature included."""
    random = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes(size).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1000)
        elif name.endswith("running_var"):
            state[name] = torch.rand(shape, generator=random) + 0.5
        elif len(shape) == 1:
            state[name] = torch.randn(shape, generator=random) * 0.2 + name.endswith("weight")
        else:
            weight = torch.randn(shape, generator=random)
            state[name] = weight / weight[0].numel() ** 0.5  # keeps the size of what passes through
    whole = {f"model.visual.{name}": tensor for name, tensor in state.items()}
    return {**whole, "model.text.adapter.weight": torch.zeros(4, 4), "model.logit_scale": torch.tensor(4.6)}


def build(input_px: tuple[int, int], size: AtlasSize = SIZE) -> Atlas:
    """The reduced network."""
    return Atlas(size)


SMALL = {
    "pillar0_headct": Small(
        replace(SPEC, build=build, dimension=SIZE.dimension, input_px=(64, 64), depth=GRID.slices, grid=GRID), {"published": official}
    )
}
