"""How much each patch of a slice adds to a finding's logit: integrated gradients from a blurred slice (arXiv 1703.01365)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from .probe import Probe

# The path starts where what a patch shows has melted into its surroundings, so that the logit's rise along it is due to what is seen there.
BLUR_MM = 16.0
# Gradients are taken in the middle of as many equal steps; with them the patches' sum differs little from the logit's rise.
STEPS = 8


def relevance(
    probe: Probe,
    slices: torch.Tensor,
    patches: tuple[int, int],
    field_mm: tuple[int, int],
    boundary: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """Relevance (N, rows, columns) of the patches of some slices (N,), in logits.

    For windows x and the same blurred, x', it is the sum over a patch's pixels and all windows of

        (x - x') * mean over t in (0, 1) of d logit / d window at x' + t (x - x'),

    and the sum over the patches is logit(x) - logit(x'), but for the steps. Positive patches speak for the finding.
    `boundary` is called before each step and may end the work by raising.
    """
    which = slices if probe.moves_alone() else torch.arange(len(probe.windows), device=slices.device)
    windows = probe.windows[which]
    start = blurred(windows, tuple(BLUR_MM * px / mm for px, mm in zip(windows.shape[-2:], field_mm, strict=True)))
    way = windows - start
    gradient = torch.zeros_like(windows)
    for step in range(STEPS):
        boundary()
        gradient += probe.gradient(start + (step + 0.5) / STEPS * way, which) / STEPS
    pixels = (gradient * way).sum(1, keepdim=True)
    if not probe.moves_alone():
        pixels = pixels[slices]
    return patch_sums(pixels, patches)[:, 0]


def patch_sums(pixels: torch.Tensor, patches: tuple[int, int]) -> torch.Tensor:
    """Sums (N, C, rows, columns) over equal patches of pixels (N, C, H, W), whatever the number of pixels in a patch."""
    area = pixels.shape[-2] * pixels.shape[-1] / (patches[0] * patches[1])
    return functional.adaptive_avg_pool2d(pixels, patches) * area


def blurred(images: torch.Tensor, deviation_px: tuple[float, ...]) -> torch.Tensor:
    """Images (N, C, H, W) under a Gaussian of these standard deviations (rows, columns), edges repeated."""
    for axis, deviation in zip((2, 3), deviation_px, strict=True):
        reach = int(3 * deviation) + 1
        x = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
        kernel = torch.exp(-0.5 * (x / deviation) ** 2)
        padding = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        padded = functional.pad(images, padding, mode="replicate").flatten(0, 1)[:, None]
        images = functional.conv2d(padded, (kernel / kernel.sum()).view(shape)).view(images.shape)
    return images
