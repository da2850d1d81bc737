"""Loading a checkpoint that a test has in memory by the way that users' files go."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from headct_molre.models.backbones.spec import BackboneSpec, KeyFormat
from headct_molre.models.weights import load_backbone


def formats_that_fit(spec: BackboneSpec, state: dict[str, torch.Tensor]) -> list[KeyFormat]:
    """The formats of which a checkpoint could be."""
    return [layout for layout in spec.formats if layout.fits(set(state))]


def loaded(spec: BackboneSpec, state: dict[str, torch.Tensor], input_px: tuple[int, int] | None = None) -> nn.Module:
    """The network with the weights of a checkpoint, written to a file and loaded from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file({key: tensor.contiguous().clone() for key, tensor in state.items()}, path)
        return load_backbone(spec, input_px, path)[0].network
