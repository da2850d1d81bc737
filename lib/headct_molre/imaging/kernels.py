"""Reconstruction kernels by name: which of them are made for bone, and drown the brain in noise."""

from __future__ import annotations

import re

# Words, and the sharp ones of Siemens (H60s and above, Br69...), Canon (FC30, FC81) and Philips (YC, YD).
_BONE = re.compile(r"bone|edge|lung|^(B|H|J)[cfhr]?[67]\d|^FC(30|8\d)|^Y[CD]$", re.IGNORECASE)


def is_bone_kernel(name: str) -> bool:
    """Whether a ConvolutionKernel is made for bone; False for an unknown or empty name."""
    return bool(_BONE.search(name))
