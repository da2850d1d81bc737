"""The scales of an Atlas and how their tokens lie in windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Scale:
    """How the tokens of a scale lie in windows: `grid` windows (depth, row, column) of `window` tokens (depth, row, column)."""

    grid: Size
    window: Size

    def to_windows(self, volume: torch.Tensor) -> torch.Tensor:
        """(B, D, H, W, C) -> (B windows, tokens, C)."""
        (gd, gh, gw), (wd, wh, ww) = self.grid, self.window
        parted = volume.reshape(-1, gd, wd, gh, wh, gw, ww, volume.shape[-1])
        return parted.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, wd * wh * ww, volume.shape[-1])

    def to_volume(self, windows: torch.Tensor) -> torch.Tensor:
        """(B windows, tokens, C) -> (B, D, H, W, C)."""
        (gd, gh, gw), (wd, wh, ww) = self.grid, self.window
        parted = windows.reshape(-1, gd, gh, gw, wd, wh, ww, windows.shape[-1])
        return parted.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, gd * wd, gh * wh, gw * ww, windows.shape[-1])


def scales_of(tokens: Size, window: Size, pool: Size, count: int) -> list[Scale]:
    """The scales of a token volume (depth, row, column): the last is one window. Raises ValueError where that does not come out."""
    scales: list[Scale] = []
    size = tokens
    while len(scales) < count:
        if all(side >= part for side, part in zip(size, window, strict=True)) and size != window:
            scale = Scale(divided(size, window), window)
        else:
            scale = Scale((1, 1, 1), size)
        scales.append(scale)
        if scale.grid == (1, 1, 1):
            break
        if len(scales) < count:
            size = divided(size, pool)
    if len(scales) != count or scales[-1].grid != (1, 1, 1):
        raise ValueError(f"A volume of {tokens} tokens does not make {count} scales of windows of {window}")
    return scales


def divided(size: Size, part: Size) -> Size:
    """How many parts of a size fit along each side. Raises ValueError where something is left over."""
    if any(side % step for side, step in zip(size, part, strict=True)):
        raise ValueError(f"{size} tokens cannot be parted by {part}")
    return size[0] // part[0], size[1] // part[1], size[2] // part[2]
