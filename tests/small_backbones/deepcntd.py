"""The network in DeepCNTD's style with narrow layers and 32 x 32 pixels; its slices are as many as the grid's."""

from dataclasses import replace

import torch

from headct_molre.models.backbones.deepcntd import SPEC, DeepCNTDStyle, DetectorSize
from small_backbones import Small

SIZE = DetectorSize(segmentation=(4, 4, 4, 8, 8), first=8, layers=(1, 1, 1, 2), growth=4)


def build(input_px: tuple[int, int], size: DetectorSize = SIZE) -> DeepCNTDStyle:
    """The reduced network."""
    return DeepCNTDStyle(len(SPEC.windows), size)


def random_state(seed: int) -> dict[str, torch.Tensor]:
    """Random weights in the network's own keys."""
    torch.manual_seed(seed)
    return build((32, 32)).state_dict()


SMALL = {"deepcntd": Small(replace(SPEC, build=build, dimension=SIZE.dimension, input_px=(32, 32)), {"headct-molre": random_state})}
