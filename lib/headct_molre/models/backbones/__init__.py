"""The backbone registry: a name leads to a BackboneSpec, and nothing heavy is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import NotFound

if TYPE_CHECKING:
    from .spec import BackboneSpec

_REGISTRY = {
    "demo": ("demo", "SPEC"),
    "dinov3_base": ("dinov3", "DINOV3_BASE"),
    "dinov3_large": ("dinov3", "DINOV3_LARGE"),
    "medimageinsight": ("medimageinsight", "SPEC"),
    "medgemma": ("medgemma", "SPEC"),
    "pillar0_headct": ("pillar0_headct", "SPEC"),
    "deepcntd": ("deepcntd", "SPEC"),
}


def backbone_names() -> list[str]:
    """Names of all backbones, cheap to ask for."""
    return list(_REGISTRY)


def backbone_spec(name: str) -> BackboneSpec:
    """The description of a backbone. Raises NotFound that lists the known names."""
    if name not in _REGISTRY:
        raise NotFound("unknown_model", f"There is no model {name!r}. Known models: {', '.join(_REGISTRY)}.", field="model")
    module, attribute = _REGISTRY[name]
    return getattr(import_module(f".{module}", __name__), attribute)
