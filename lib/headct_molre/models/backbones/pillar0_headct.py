"""Pillar0-HeadCT: an Atlas pretrained on volumes of head CT with their reports (Yala Lab, arXiv 2511.17803)."""

from __future__ import annotations

import re

from torch import nn

from ...imaging.grid import Grid
from .atlas import Atlas, AtlasSize
from .spec import BackboneSpec, KeyFormat, State

# (centre, width) in HU of the published input's windows, in the order of its channels. What has no window is scaled as a whole.
WINDOWS_CENTRE_WIDTH = {
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 400.0),
    "abdomen": (40.0, 400.0),
    "liver": (80.0, 150.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "subdural": (75.0, 215.0),
    "stroke": (40.0, 40.0),
    "temporal_bone": (600.0, 2800.0),
    "soft_tissue": (50.0, 350.0),
}
WHOLE_RANGE_HU = (-1024.0, 3071.0)
WINDOWS_HU = (*((centre - width / 2, centre + width / 2) for centre, width in WINDOWS_CENTRE_WIDTH.values()), WHOLE_RANGE_HU)

# Public sources disagree on the input: 128 x 256 x 256 voxels in the authors' evaluation of it, 512 x 512 pixels of 0.5 mm in their
# demonstration. Both show 256 mm and slices of 1.25 mm. We take the former: its 32 x 32 x 32 tokens make the three scales of the feature.
GRID = Grid("volume-1.25mm", (1.25, 1.0, 1.0), 256, -70.0, 128, trimmed=False)

# The published weights say everything but four things, which here are:
#   superior_first  True: the authors' evaluation turns a volume upside down, as they were trained; their demonstration does not.
#   heads           6, heads of 64 as in the authors' other Atlas models. Their configuration for head CT is not public source.
#   window, pool    8 x 8 x 8 and 2 x 2 x 2: what makes 32 x 32 x 32 tokens into three scales of whole windows, the last one window.
# Who has the configuration that comes with the weights should compare these before trusting the pretrained features.
SIZE = AtlasSize(channels=len(WINDOWS_HU))

# The stem is named by what it reads: brain_ct in the authors' network and evaluation, head_ct in their demonstration.
_STEM = r"patch_embeds\.(?:brain_ct|head_ct)\."
_PREFIX = r"model\.visual\."


def from_published(state: State, network: nn.Module) -> State:
    """The image tower's keys as they are published -> the network's own."""
    return {re.sub("^" + _STEM, "stem.", re.sub("^" + _PREFIX, "", key)): tensor for key, tensor in state.items()}


def build(input_px: tuple[int, int], size: AtlasSize = SIZE) -> nn.Module:
    """The network without weights; it takes any input whose tokens make its scales."""
    return Atlas(size)


SPEC = BackboneSpec(
    name="pillar0_headct",
    title="Pillar0-HeadCT",
    build=build,
    dimension=SIZE.dimension,
    field_mm=(256, 256),
    input_px=(256, 256),
    depth=GRID.slices,
    grid=GRID,
    windows=WINDOWS_HU,
    mean=(0.0,) * len(WINDOWS_HU),
    std=(1.0,) * len(WINDOWS_HU),
    level="volume",
    pooling="token maximum of three scales",
    formats=(
        KeyFormat(
            "published",
            _PREFIX + r"atlas_models\.0\.blocks\.0\.blocks\.0\.attn\.kv\.weight",
            reads=_PREFIX + rf"(?:atlas_models\.|{_STEM}).*",
            convert=from_published,
        ),
    ),
    trained=".*",
    licence="ECL-2.0",
    licence_url="https://huggingface.co/YalaLab/Pillar0-HeadCT",
    hub_id="YalaLab/Pillar0-HeadCT",
)
