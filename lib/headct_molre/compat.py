"""Makes timm importable where the installed torchvision was built for another torch."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch


@cache
def declare_torchvision_operators() -> torch.library.Library | None:
    """Declare the two operators that torchvision registers at import, where its compiled part does not load.

    There is no torchvision for every CPU build of torch, and one for CUDA fails beside it with "operator torchvision::nms
    does not exist". timm only needs it to import; neither operator is ever called. The library must stay alive, hence the
    cache.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    try:
        for compiled in Path(spec.origin).parent.glob("_C*.*"):
            torch.ops.load_library(str(compiled))
        return None
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
