"""Looks that all figures share, and their two forms: an SVG that takes the colours of its page, and a PNG on white.

Figures are made without pyplot, so that no window system, global state or leak is involved.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins that `as_svg` exchanges for the page's own colours.
INK, MUTED, GRID = "#1a1b1c", "#6a6b6c", "#d7d8d9"
PAGE_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--rule)"}
# Legible on white and on near black, and told apart with any colour vision (after Okabe and Ito).
MODEL, OTHER = "#0a7fc2", "#d9730d"
CATEGORY_COLOURS = {
    "Hemorrhage": "#d1495b",
    "Vascular": "#0a7fc2",
    "Trauma": "#c77f0a",
    "Mass/Lesion": "#2a9d6f",
    "Structural": "#9467bd",
    "Chronic/Other": "#7d8590",
}
_STYLE: dict[str, Any] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "headct",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.major.size": 3,
}


@contextmanager
def style() -> Iterator[None]:
    """The settings that figures are made under."""
    with matplotlib.rc_context(_STYLE):
        yield


def as_svg(figure: Figure, label: str) -> str:
    """The figure as an `svg` element for a page that defines --ink, --muted and --rule; `label` is what a screen reader says."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for stand_in, colour in PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def as_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as a PNG on white."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def message(axes: Axes, text: str) -> None:
    """Say in place of a plot why there is none."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)
