"""Every backbone at reduced width, with random weights in the key formats in which the true ones are published.

Each module here is named by a family and holds SMALL, a dictionary from the model's name to a Small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import torch

from headct_molre.models import backbones
from headct_molre.models.backbones.spec import BackboneSpec

FAMILIES = ("demo", "dinov3", "medimageinsight", "medgemma", "pillar0_headct", "deepcntd")


@dataclass(frozen=True)
class Small:
    """A reduced backbone: `spec` is the real one but for `build`, `dimension` and the input sizes.

    `official` maps the name of each of the spec's key formats to a function from a seed to a whole checkpoint in that format, tensors that
    the image tower does not use included where the published files have them. LayerScale is about 1, so that errors can be seen.
    """

    spec: BackboneSpec
    official: Mapping[str, Callable[[int], dict[str, torch.Tensor]]]


def small_backbones() -> dict[str, Small]:
    """All of them by name of the model."""
    return {name: small for family in FAMILIES for name, small in import_module(f"small_backbones.{family}").SMALL.items()}


def use_small_backbones(setattr_: Callable[[object, str, object], None] = setattr) -> None:
    """Put the small forms in the place of the real ones, in this process; `monkeypatch.setattr` takes it back."""
    for name, small in small_backbones().items():
        module, attribute = backbones._REGISTRY[name]
        setattr_(import_module(f"{backbones.__name__}.{module}"), attribute, small.spec)
