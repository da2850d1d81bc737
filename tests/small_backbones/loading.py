"""Loading a checkpoint that a test has in memory by the way that users' files go."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from headct_molre.models.backbones.spec import BackboneSpec, KeyFormat, NormalisedBackbone
from headct_molre.models.weights import load_backbone
from small_backbones import Small


def formats_that_fit(spec: BackboneSpec, state: dict[str, torch.Tensor]) -> list[KeyFormat]:
    """The formats of which a checkpoint could be."""
    return [layout for layout in spec.formats if layout.fits(set(state))]


def loaded_backbone(spec: BackboneSpec, state: dict[str, torch.Tensor], input_px: tuple[int, int] | None = None) -> NormalisedBackbone:
    """The backbone with the weights of a checkpoint, written to a file and loaded from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, path)
        return load_backbone(spec, input_px, path)[0]


def loaded(spec: BackboneSpec, state: dict[str, torch.Tensor], input_px: tuple[int, int] | None = None) -> nn.Module:
    """The network alone."""
    return loaded_backbone(spec, state, input_px).network


def small_backbone(small: Small, seed: int = 0) -> NormalisedBackbone:
    """A small backbone with random weights in the first of its formats."""
    return loaded_backbone(small.spec, next(iter(small.official.values()))(seed))
