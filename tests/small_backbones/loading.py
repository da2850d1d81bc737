"""What loading does with a published checkpoint, without its files: find the format, skip what is not read, convert, load strictly."""

import re
from typing import Any

import torch
from torch import nn

from headct_molre.models.backbones.spec import BackboneSpec, KeyFormat


def formats_that_fit(spec: BackboneSpec, state: dict[str, torch.Tensor]) -> list[KeyFormat]:
    """The formats of which a checkpoint could be."""
    return [layout for layout in spec.formats if layout.fits(set(state))]


def loaded(spec: BackboneSpec, state: dict[str, torch.Tensor], input_px: tuple[int, int] | None = None) -> nn.Module:
    """The network with the weights of a checkpoint, every tensor accounted for."""
    (layout,) = formats_that_fit(spec, state)
    options: dict[str, Any] = dict(layout.options)
    network = spec.build(input_px=input_px or spec.input_px, **options).eval()
    read = {name: tensor for name, tensor in state.items() if re.fullmatch(layout.reads, name)}
    network.load_state_dict(layout.convert(read, network), strict=True)
    return network
