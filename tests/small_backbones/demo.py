"""The demo backbone, which is small already."""

import torch

from headct_molre.models.backbones.demo import SPEC
from small_backbones import Small


def random_state(seed: int) -> dict[str, torch.Tensor]:
    """Random weights in the network's own keys."""
    torch.manual_seed(seed)
    return SPEC.build().state_dict()


SMALL = {"demo": Small(SPEC, {"timm": random_state})}
