"""Makes timm importable beside a CPU build of torch, for which there is no matching torchvision."""

from __future__ import annotations

from functools import cache

import torch


@cache
def declare_torchvision_operators() -> torch.library.Library | None:
    """Declare the two operators that torchvision registers at import, where its compiled part does not load.

    torchvision built for CUDA fails beside CPU torch with "operator torchvision::nms does not exist". timm only needs it
    to import; neither operator is ever called. The library must stay alive, hence the cache.
    """
    if torch.version.cuda is not None:
        return None
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
