"""Pillar0-HeadCT: an Atlas pretrained on volumes of head CT with their reports (Yala Lab, arXiv 2511.17803)."""

from __future__ import annotations

from torch import nn

from ...imaging.grid import Grid
from .atlas import Atlas, AtlasSize
from .keys import renamed
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

# Public sources disagree on the input: 128 x 256 x 256 voxels in the authors' evaluation, 128 slices of 1.25 mm and 512 x 512 pixels of
# 0.5 mm in their demonstration. We take the former, for which others report the feature's 1152 numbers, and pixels of 1 mm, which the
# evaluation does not state: they show the same 256 mm.
GRID = Grid("volume-1.25mm", (1.25, 1.0, 1.0), 256, -70.0, 128, trimmed=False)

# The published weights say everything but four things. Who has the configuration that comes with them should compare these with it before
# trusting the pretrained feature:
#   superior_first  True: the authors' evaluation turns a volume upside down, as they trained; their demonstration does not.
#   heads           6, of 64 channels, as in the authors' other Atlas models.
#   window, pool    4 x 4 x 4 each, as in the authors' model for the abdomen by the shapes of its tokens. They make three scales of
#                   32 x 32 x 32 tokens too: 32, 8 and 2 a side. So would windows of 8 x 8 x 8 with a pool of 2 x 2 x 2.
# The feature is what the image tower gives. The authors' comparison with text scales it to length 1; a classifier need not.
SIZE = AtlasSize(channels=len(WINDOWS_HU))

# The stem is named by what it reads: brain_ct in the authors' network and evaluation, head_ct in their demonstration.
_STEM = r"patch_embeds\.(?:brain_ct|head_ct)\."
_PREFIX = r"model\.visual\."

# Every published block has weights for all three scales, also where a stage has fewer left. They are loaded, as every tensor has to be
# accounted for, but nothing reads them, so they are neither trained nor kept with a version.
_UNUSED = r"atlas_models\.(?:1\.blocks\.\d+\.(?:blocks|posemb)\.2|2\.blocks\.\d+\.(?:blocks|posemb)\.[12])\."


def from_published(state: State, network: nn.Module) -> State:
    """The image tower's keys as they are published -> the network's own."""
    return renamed(state, (("^" + _PREFIX, ""), ("^" + _STEM, "stem.")))


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
            reads=_PREFIX + ".*",
            convert=from_published,
        ),
    ),
    trained=rf"(?!{_UNUSED}).*",
    licence="ECL-2.0",
    licence_url="https://huggingface.co/YalaLab/Pillar0-HeadCT",
    hub_id="YalaLab/Pillar0-HeadCT",
)
