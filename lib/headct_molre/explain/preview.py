"""A picture of a heat map: its slices plain, and below with the map over them, in the finding's viewing window."""

from __future__ import annotations

import io
import textwrap
from typing import Any

import numpy as np

from .. import __version__
from ..findings import finding
from ..imaging.montage import AMBER, GREY, NOTICE, WHITE, head_box
from ..imaging.prepare import WINDOWS_HU
from .heatmap import HeatMap

# (lower, upper) HU of the viewing presets that `findings.csv` names.
VIEWING_WINDOWS_HU = {**dict(zip(("brain", "subdural", "bone"), WINDOWS_HU, strict=True)), "stroke": (20.0, 60.0)}
MOST_COLUMNS = 8
SCALE = 2  # screen pixels for a voxel of the model's grid
GAP_PX, MARGIN_PX, HEAD_PX, FOOT_PX, BAR_PX = 4, 18, 118, 58, 12
COLOURS, OPACITY = "inferno", 0.75
CAPTION = "Where the model looked, not a lesion outline; research use."


def preview(heat_map: HeatMap) -> bytes:
    """PNG of the slices that a heat map shows; the patient's right is on the left of each image. It holds no identifier."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    shown = _drawn(heat_map)
    rows, columns = head_box(heat_map.prepared.hu)
    hu, values = (array[shown][:, rows, columns] for array in (heat_map.prepared.hu, heat_map.values))
    name = finding(heat_map.finding).hu_windows[0]
    low, high = VIEWING_WINDOWS_HU[name]
    grey = np.clip((hu - low) / (high - low), 0, 1)
    height, width = (side * SCALE for side in hu.shape[1:])
    # Few slices stand beside their maps, more above them.
    right, down = (width + GAP_PX, 0) if len(shown) <= 2 else (0, height + GAP_PX)
    pitch = width + GAP_PX + right
    total_width = max(len(shown) * pitch + 2 * MARGIN_PX + 70, 1100)
    total_height = HEAD_PX + height + down + FOOT_PX
    figure = Figure(figsize=(total_width / 72, total_height / 72), dpi=72, facecolor="black")
    FigureCanvasAgg(figure)

    def write(text: str, x: float, y: float, colour: str, size: float, **more: Any) -> None:
        figure.text(x / total_width, 1 - y / total_height, text, color=colour, fontsize=size, parse_math=False, **{"va": "top", **more})

    def axes(x: float, y: float, wide: float, high_: float) -> Any:
        return figure.add_axes((x / total_width, 1 - (y + high_) / total_height, wide / total_width, high_ / total_height))

    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        write(f"{finding(heat_map.finding).display_name}: where the model looked", MARGIN_PX, 12, WHITE, 24, weight="bold")
        notes = _notes(heat_map, total_width)
        for number, line in enumerate(notes):
            write(line, MARGIN_PX, 48 + 20 * number, AMBER, 14)
        about = f"{heat_map.summary}; {name} window, {low:.0f} to {high:.0f} HU"
        write(about, MARGIN_PX, 48 + 20 * len(notes), WHITE, 14)
        for number in range(len(shown)):
            x = MARGIN_PX + number * pitch
            centre = heat_map.prepared.slice_centres_ras[shown[number], 2]
            for with_map in (False, True):
                panel = axes(x + with_map * right, HEAD_PX + with_map * down, width, height)
                panel.imshow(grey[number], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                if with_map:
                    alpha = OPACITY * values[number] ** 0.7  # the scan is seen through what is faint, and the faint a little still
                    panel.imshow(values[number], cmap=COLOURS, vmin=0, vmax=1, alpha=alpha, interpolation="nearest")
                panel.set_axis_off()
            write(f"slice {shown[number]}, S {centre:.0f} mm".replace("-", "\u2212"), x + 4, HEAD_PX + 4, WHITE, 13)
        for with_map in (False, True):
            x, middle = MARGIN_PX + with_map * right, HEAD_PX + with_map * down + height / 2
            write("R", x + 3, middle, AMBER, 15, va="center")
            write("L", x + width - 3, middle, AMBER, 15, va="center", ha="right")
        bar = axes(MARGIN_PX + len(shown) * pitch + 14, HEAD_PX + down, BAR_PX, height)
        scale = figure.colorbar(matplotlib.cm.ScalarMappable(Normalize(0, 1), COLOURS), cax=bar, ticks=(0, 0.5, 1))
        scale.ax.tick_params(colors=WHITE, labelsize=12)
        write(f"{CAPTION} {NOTICE}", MARGIN_PX, total_height - FOOT_PX + 12, WHITE, 15)
        made = f"{heat_map.model} {heat_map.version}, headct-molre {__version__}"
        write(made, total_width - MARGIN_PX, total_height - FOOT_PX + 34, GREY, 13, ha="right")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=72, facecolor="black", metadata={"Software": f"headct-molre {__version__}"})
    return buffer.getvalue()


def _drawn(heat_map: HeatMap) -> np.ndarray:
    """Which slices to draw: all of them, or as many as fit, evenly chosen."""
    if len(heat_map.slices) <= MOST_COLUMNS:
        return heat_map.slices
    return heat_map.slices[np.linspace(0, len(heat_map.slices) - 1, MOST_COLUMNS).round().astype(int)]


def _notes(heat_map: HeatMap, total_width: int) -> list[str]:
    """What has to be said first, in at most two lines."""
    demo = "DEMO MODEL: its map means nothing on a patient's scan. " if heat_map.demo else ""
    return textwrap.wrap(f"{demo}{heat_map.note or ''}", total_width // 8)[:2]
