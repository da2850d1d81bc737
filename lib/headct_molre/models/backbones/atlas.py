"""Atlas in three dimensions: a convolutional stem, then attention in windows and between scales (arXiv 2503.12355, arXiv 2511.17803).

Names of modules and order of operations are those of the published network, so that its weights mean the same here. That includes two
things that one would not write today and that trained weights rely on; they are marked where they stand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .atlas_scales import Scale, Size, divided, scales_of
from .atlas_stem import STRIDE, Stem


@dataclass(frozen=True)
class AtlasSize:
    """The sizes of an Atlas, by default of the published one for head CT.

    `stem_widths` are the channels of the stem's first and of its other convolutions; tokens are twice as wide as the latter. `depths` says
    how many blocks each stage has; every stage but the last ends with its finest scale finished. `window` and `pool` are (depth, row,
    column): tokens of a window, and tokens of a scale that become one of the next. `heads`, `window` and `pool` leave no trace in the
    weights. `superior_first` says that the network reads a volume from its top; its parts run from the lowest all the same.
    """

    channels: int = 11
    stem_widths: tuple[int, int] = (64, 192)
    stem_blocks: int = 3
    depths: tuple[int, ...] = (2, 2, 8)
    heads: int = 6
    mlp_ratio: int = 4
    position_width: int = 512
    window: Size = (4, 4, 4)
    pool: Size = (4, 4, 4)
    superior_first: bool = True

    @property
    def width(self) -> int:
        """Channels of a token."""
        return 2 * self.stem_widths[1]

    @property
    def dimension(self) -> int:
        """Length of the pooled feature: one token maximum for each scale."""
        return len(self.depths) * self.width


class Attention(nn.Module):
    """Multi-head attention whose queries and keys may come from different scales."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, C) -> (N, heads, T, C / heads)."""
        return self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def keys_and_values(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, C) -> (2, N, heads, T, C / heads)."""
        return self.kv(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        """Queries (N, heads, T, C / heads), keys and values (2, N, heads, T', C / heads) -> (N, T, C)."""
        return self.proj(functional.scaled_dot_product_attention(q, kv[0], kv[1]).transpose(1, 2).flatten(2))


class ScaleBlock(nn.Module):
    """The transformer block of one scale."""

    def __init__(self, size: AtlasSize) -> None:
        super().__init__()
        width = size.width
        self.norm1_q = nn.LayerNorm(width)
        self.norm1_kv = nn.LayerNorm(width)
        self.attn = Attention(width, size.heads)
        self.norm2 = nn.LayerNorm(width)
        hidden = size.mlp_ratio * width
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(width, hidden), act=nn.GELU(), fc2=nn.Linear(hidden, width)))

    def queries(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, C) -> (N, heads, T, C / heads)."""
        return self.attn.queries(self.norm1_q(tokens))

    def keys_and_values(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, C) -> (2, N, heads, T, C / heads)."""
        return self.attn.keys_and_values(self.norm1_kv(tokens))

    def updated(self, tokens: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, C) with what they attended to (N, T, C), then the MLP."""
        tokens = tokens + attended
        return tokens + self.mlp(self.norm2(tokens))


class Position(nn.Module):
    """A learned function of a token's place in its window."""

    def __init__(self, size: AtlasSize) -> None:
        super().__init__()
        hidden = size.position_width
        self.cpb_mlp = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, size.width, bias=False))

    def forward(self, window: Size) -> torch.Tensor:
        """A window (depth, row, column) -> (tokens, C)."""
        weight = next(self.cpb_mlp.parameters())
        # As published: places are counted in the order (row, column, depth), tokens in the order (depth, row, column). In a cube that only
        # names the axes differently; in another box it mixes places.
        depth, height, width = window
        sides = [torch.arange(n, device=weight.device, dtype=weight.dtype) for n in (height, width, depth)]
        centred = [(side - len(side) // 2) / (len(side) // 2) if len(side) > 1 else side for side in sides]
        return self.cpb_mlp(torch.stack(torch.meshgrid(*centred, indexing="ij"), -1).flatten(0, 2))


class MultiScaleBlock(nn.Module):
    """Each scale takes in the finer ones by maximum, attends to itself and to the coarser ones, then to the next finer one."""

    blocks: Sequence[ScaleBlock]
    posemb: Sequence[Position]

    def __init__(self, size: AtlasSize) -> None:
        super().__init__()
        self.pool = size.pool
        # Of the published network every block has all scales, also where a stage has fewer left: those weights are never used.
        self.blocks = nn.ModuleList(ScaleBlock(size) for _ in size.depths)  # type: ignore[assignment]
        self.posemb = nn.ModuleList(Position(size) for _ in size.depths)  # type: ignore[assignment]

    def forward(self, tokens: Sequence[torch.Tensor], scales: Sequence[Scale]) -> list[torch.Tensor]:
        """Windows of tokens (B windows, T, C) for each scale, finest first -> the same."""
        x = [part + position(scale.window) for part, position, scale in zip(tokens, self.posemb, scales, strict=False)]
        for fine in range(len(x) - 1):
            volume = scales[fine].to_volume(x[fine]).movedim(-1, 1)
            pooled = functional.max_pool3d(volume, self.pool).movedim(1, -1)
            x[fine + 1] = x[fine + 1] + scales[fine + 1].to_windows(pooled)
        self._to_finer(x)
        self._to_coarser(x, scales)
        return x

    def _to_finer(self, x: list[torch.Tensor]) -> None:
        """From the coarsest scale on: attention of a window to itself and to one window of each coarser scale."""
        coarser: list[torch.Tensor] = []
        for at in reversed(range(len(x))):
            block, tokens = self.blocks[at], x[at]
            kv = block.keys_and_values(tokens)
            x[at] = block.updated(tokens, block.attn(block.queries(tokens), _beside(kv, coarser)))
            coarser.append(block.keys_and_values(x[at]))

    def _to_coarser(self, x: list[torch.Tensor], scales: Sequence[Scale]) -> None:
        """From the second scale on: attention of the tokens in the place of a finer window to that window."""
        for at in range(1, len(x)):
            block, tokens, fine, coarse = self.blocks[at], x[at], scales[at - 1], scales[at]
            size = [grid * window for grid, window in zip(coarse.grid, coarse.window, strict=True)]
            under = Scale(fine.grid, divided((size[0], size[1], size[2]), fine.grid))
            queries = block.queries(under.to_windows(coarse.to_volume(tokens)))
            attended = block.attn(queries, self.blocks[at - 1].keys_and_values(x[at - 1]))
            x[at] = block.updated(tokens, coarse.to_windows(under.to_volume(attended)))


def _beside(kv: torch.Tensor, coarser: Sequence[torch.Tensor]) -> torch.Tensor:
    """Keys and values of windows (2, N, heads, T, c) and, for each, of one window of every coarser scale: (2, N, heads, T', c)."""
    # As published: window n of N goes with window n * M // N of the coarser scale's M, in the order in which windows are stored. Those lie
    # in the same depth but not always in the same quadrant.
    every = [kv]
    for other in coarser:
        shared = other[:, :, None].expand(-1, -1, kv.shape[1] // other.shape[1], -1, -1, -1)
        every.append(shared.flatten(1, 2))
    return torch.cat(every, dim=3)


class Stage(nn.Module):
    """Blocks on the same scales."""

    blocks: Sequence[MultiScaleBlock]

    def __init__(self, size: AtlasSize, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MultiScaleBlock(size) for _ in range(depth))  # type: ignore[assignment]


class Atlas(nn.Module):
    """The network: one token maximum for each scale, side by side."""

    atlas_models: Sequence[Stage]

    def __init__(self, size: AtlasSize) -> None:
        super().__init__()
        self.size = size
        self.stem = Stem(size.channels, size.stem_widths, size.stem_blocks).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.atlas_models = nn.ModuleList(Stage(size, depth) for depth in size.depths)  # type: ignore[assignment]

    def tokens(self, volume: torch.Tensor) -> list[torch.Tensor]:
        """A volume (B, C, D, H, W), lowest slice first -> the last tokens (B, D', H', W', C) of each scale, lowest first, finest first.

        Raises ValueError for a volume that cannot be parted into the scales' windows.
        """
        if any(side % step for side, step in zip(volume.shape[2:], STRIDE, strict=True)):
            raise ValueError(f"The sides of a volume have to be multiples of {STRIDE}, not {tuple(volume.shape[2:])}")
        if self.size.superior_first:
            volume = volume.flip(2)
        embedded = self.stem(volume.contiguous(memory_format=torch.channels_last_3d))
        depth, height, width = embedded.shape[2:]
        scales = scales_of((depth, height, width), self.size.window, self.size.pool, len(self.size.depths))
        x = []
        for n, scale in enumerate(scales):
            kernel = [side**n for side in self.size.pool]
            x.append(scale.to_windows(functional.max_pool3d(embedded, kernel).movedim(1, -1)))
        finished: list[torch.Tensor] = []
        for stage, scale in zip(self.atlas_models, scales, strict=True):
            for block in stage.blocks:
                x = block(x, scales[len(finished) :])
            finished.append(scale.to_volume(x.pop(0)))
        return [volume.flip(1) for volume in finished] if self.size.superior_first else finished

    def forward(self, volume: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """A volume (B, C, D, H, W), lowest slice first -> parts (B, D / 4, d) of its pooled feature.

        The mask is not used: the network was trained on volumes of one size, air included.
        """
        scales = self.tokens(volume)
        return torch.cat([depth_parts(tokens, scales[0].shape[1]) for tokens in scales], dim=-1)


def depth_parts(tokens: torch.Tensor, positions: int) -> torch.Tensor:
    """Tokens (B, D, H, W, C) -> their maximum, parted by depth (B, positions, C), exactly.

    An entry belongs to the depth of its largest token, the first of several; a depth that spans several positions gives each an equal
    part.
    """
    highest, at = tokens.flatten(2, 3).amax(2).max(1)
    parts = torch.zeros(tokens.shape[0], tokens.shape[1], tokens.shape[-1], dtype=highest.dtype, device=highest.device)
    parts = parts.scatter(1, at[:, None], highest[:, None])
    span = positions // tokens.shape[1]
    return parts.repeat_interleave(span, 1) / span
