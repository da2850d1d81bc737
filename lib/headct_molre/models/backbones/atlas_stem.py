"""The stem of an Atlas: convolutions that make tokens of voxels. Names of modules are those of the published network."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .atlas_scales import Size

# Voxels (depth, row, column) of a token.
STRIDE: Size = (4, 8, 8)


class ResidualConvolutions(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(width, width, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1)
        self.norm2 = nn.BatchNorm3d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return self.norm2(self.conv2(functional.gelu(self.norm1(self.conv1(x))))).add_(x)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, D, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Downsampling(nn.Module):
    """Half the resolution, twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width, eps=1e-6)
        self.reduction = nn.Sequential(nn.Conv3d(width, 2 * width, 3, stride=2, padding=1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, D, H, W) -> (B, 2 C, D / 2, H / 2, W / 2)."""
        return self.reduction(self.norm(x))


class Stem(nn.Module):
    """From voxels to tokens, 4 x 8 x 8 voxels each."""

    def __init__(self, channels: int, widths: tuple[int, int], blocks: int) -> None:
        super().__init__()
        first, width = widths
        layers: list[nn.Module] = []
        for read, written, stride in ((channels, first, (1, 2, 2)), (first, width, (2, 2, 2)), (width, width, (1, 1, 1))):
            convolution = nn.Conv3d(read, written, 3, stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm3d(written, eps=1e-4), nn.ReLU(inplace=True)]
        self.conv_down = nn.Sequential(*layers)
        self.conv1 = nn.Sequential(*(ResidualConvolutions(width) for _ in range(blocks)))
        self.ds1 = Downsampling(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, D, H, W) -> (B, 2 width, D / 4, H / 8, W / 8)."""
        return self.ds1(self.conv1(self.conv_down(x)))
