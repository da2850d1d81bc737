"""What the experts did, as a picture: a matrix of slices x experts in colours that colour-blind readers can tell apart, and its words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .catalogue import Catalogue
from .prediction import PredictionView

# Every 16th colour of matplotlib's viridis (CC0), which grows evenly in lightness and is read alike with every kind of colour vision.
_VIRIDIS = np.array(
    [
        *((68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141), (44, 114, 142), (38, 130, 142)),
        *((33, 145, 140), (31, 160, 136), (40, 174, 128), (63, 188, 115), (94, 201, 98), (132, 212, 75), (173, 220, 48), (216, 226, 25)),
        (253, 231, 37),
    ],
    dtype=float,
)

WHY_VOLUME = (
    "This model reads the volume as a whole, so its router weighs the experts once for the volume and not for each slice: "
    "one bar stands for each expert."
)
WHY_NONE = "This model has no router: there are no experts to show."
EXPLANATION = (
    "Router weight: how much each low-rank expert adds to the features of a slice; the weights of a slice sum to 1. An expert is no "
    "diagnosis, and no expert stands for one finding."
)


@dataclass(frozen=True)
class Picture:
    """An image of width x height pixels as RGBA bytes, row by row from the top, opaque."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Bar:
    """One expert of a volume-level router."""

    expert: int
    weight: float

    @property
    def text(self) -> str:
        """Its name and weight."""
        return f"Expert {self.expert + 1}: {self.weight:.3f}"


def colours(values: np.ndarray) -> np.ndarray:
    """RGBA (..., 4) uint8 of values (...) in 0..1; what is outside is taken to the nearer end."""
    place = np.clip(np.nan_to_num(np.asarray(values, dtype=float)), 0, 1) * (len(_VIRIDIS) - 1)
    steps = np.arange(len(_VIRIDIS))
    channels = [np.interp(place, steps, _VIRIDIS[:, channel]) for channel in range(3)]
    rgb = np.stack(channels, axis=-1).round().astype(np.uint8)
    return np.concatenate([rgb, np.full((*rgb.shape[:-1], 1), 255, np.uint8)], axis=-1)


def top(view: PredictionView) -> float:
    """The weight at the bright end of the colour scale: the largest one, rounded up to a tenth, so that near-uniform routers show too."""
    largest = float(view.router.max()) if view.router.size else 1.0
    return min(1.0, max(0.1, float(np.ceil(round(largest * 10, 6)) / 10)))


def picture(view: PredictionView, cell_width: int = 1, cell_height: int = 1, upright: bool = True) -> Picture:
    """The router weights, one cell for each slice and expert; slices run from below to above, or with `upright` False from left to right.

    One pixel for each cell unless cells are wider; a widget scales it. Width or height is 0 without a router.
    """
    grid = view.router[::-1] if upright else view.router.T
    grid = np.repeat(np.repeat(grid, cell_height, axis=0), cell_width, axis=1)
    height, width = grid.shape
    return Picture(colours(grid / top(view)).tobytes(), width, height)


def legend(view: PredictionView, length: int = 64) -> tuple[Picture, tuple[tuple[float, str], ...]]:
    """The colour scale from left to right, 1 pixel high, and its ticks: (place in 0..1, text)."""
    bar = Picture(colours(np.linspace(0, 1, length)[None]).tobytes(), length, 1)
    most = top(view)
    even = 1 / view.experts if view.experts else 0.0
    ticks = [(0.0, "0"), (1.0, f"{most:.1f}")]
    if 0.1 < even / most < 0.9:
        ticks.insert(1, (even / most, f"even {even:.2f}"))
    return bar, tuple(ticks)


def curve(values: np.ndarray, most: float | None = None) -> np.ndarray:
    """Values (S,) scaled to 0..1 for drawing along the slices; negative ones are at 0. `most` is the value at 1, the largest by default."""
    positive = np.maximum(np.nan_to_num(np.asarray(values, dtype=float)), 0)
    highest = float(positive.max(initial=0.0)) if most is None else most
    return np.clip(positive / highest, 0, 1) if highest > 0 else np.zeros_like(positive)


def slice_at(place: float, slices: int, upright: bool = True) -> int:
    """The slice below a place in 0..1 along the map, from the top (or left); the last one beyond the ends."""
    along = 1 - place if upright else place
    return int(np.clip(np.floor(along * slices), 0, max(slices - 1, 0)))


def place_of(index: int, slices: int, upright: bool = True) -> float:
    """Where the middle of a slice is, in 0..1 from the top (or left): the place of the cursor."""
    along = (index + 0.5) / max(slices, 1)
    return 1 - along if upright else along


def hover(view: PredictionView, index: int, expert: int | None = None, key: str | None = None, catalogue: Catalogue | None = None) -> str:
    """The exact values under the mouse: slice, its height, attention, router weights and the evidence of a finding."""
    lines = [f"Slice {index + 1} of {view.slices}, {_height(view, index)}", f"Attention {100 * view.attention[index]:.1f} %"]
    if view.experts and expert is not None:
        lines.append(f"Expert {expert + 1}: router weight {view.router[index, expert]:.3f}")
    elif view.experts:
        lines.append("Router " + ", ".join(f"{weight:.2f}" for weight in view.router[index]))
    if key is not None:
        name = key if catalogue is None else catalogue.name(key)
        lines.append(f"Evidence for {name}: {view.evidence_of(key)[index]:+.3f} logits")
    return "\n".join(lines)


def bars(view: PredictionView) -> tuple[Bar, ...]:
    """One bar for each expert of a volume-level router; none where the router looks at slices or is not there."""
    if view.router_level != "volume" or not view.slices:
        return ()
    return tuple(Bar(expert, float(weight)) for expert, weight in enumerate(view.router[0]))


def why(view: PredictionView) -> str:
    """The line below the map: what is shown, and where there is no map, why not."""
    if view.router_level is None:
        return WHY_NONE
    return WHY_VOLUME if view.router_level == "volume" else EXPLANATION


def overlay_text(view: PredictionView, index: int | None, catalogue: Catalogue | None = None) -> str:
    """Few lines for the corner of the slice view; says so where the view is outside of what the model saw."""
    if index is None:
        return "Outside of what the model saw"
    lines = [f"Slice {index + 1}/{view.slices}   attention {100 * view.attention[index]:.1f} %"]
    for key, logits in view.top_findings(index):
        name = key if catalogue is None else catalogue.name(key)
        lines.append(f"{name} {logits:+.2f}")
    return "\n".join(lines)


def _height(view: PredictionView, index: int) -> str:
    superior = float(view.centres[index, 2])
    return f"{'S' if superior >= 0 else 'I'} {abs(superior):.0f} mm"
