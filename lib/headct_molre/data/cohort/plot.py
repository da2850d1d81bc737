"""The picture of a cohort: the prevalence of each finding in each split, findings by category, on a logarithmic axis."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ...findings import CATEGORIES, Finding, findings
from .stats import CohortStats, FindingCounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart; text in them is readable on white.
COLOURS = dict(zip(CATEGORIES, ("#b8430b", "#0072b2", "#9a6d00", "#a8558a", "#00795a", "#4d4d4d"), strict=True))
# Splits differ in shape and filling, since colour stands for the category.
MARKS = {"train": ("o", True), "validation": ("s", False), "test": ("D", True), "none": ("o", True)}
PANELS = (CATEGORIES[:4], CATEGORIES[4:])
# Left edge and width of the axes of a panel; the names of the second one are longer.
PLACES = ((0.168, 0.262), (0.69, 0.255))
# Share of a finding's line that its marks take.
ROOM = 0.86
TICKS = (0.0001, 0.001, 0.01, 0.1, 1.0)


def prevalence_picture(stats: CohortStats, title: str) -> bytes:
    """A PNG: one line for each of the 75 findings, a mark for each split with its 95 % interval, positives and assessed studies beside it.

    A finding without a positive has a hollow triangle at the left edge; one that is nowhere assessed is grey and has no mark.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8.5, "axes.unicode_minus": False}):
        figure = Figure(figsize=(17, 10.5), dpi=110, facecolor="white")
        FigureCanvasAgg(figure)
        left = _left_edge(stats)
        for categories, (start, width) in zip(PANELS, PLACES, strict=True):
            _panel(figure.add_axes((start, 0.03, width, 0.875)), categories, stats, left)
        _heading(figure, stats, title)
        file = io.BytesIO()
        figure.savefig(file, format="png")
    return file.getvalue()


def _left_edge(stats: CohortStats) -> float:
    """Left end of the axis: below the rarest prevalence that is not 0."""
    known = [counts.prevalence for group in stats.splits.values() for counts in group.findings if counts.prevalence]
    rarest = min(known, default=0.01)
    return max(edge for edge in (*TICKS[:-1], 0.00001) if edge <= rarest or edge == 0.00001) / 2


def _panel(axes: Axes, categories: tuple[str, ...], stats: CohortStats, left: float) -> None:
    shown = [finding for category in categories for finding in findings() if finding.category == category]
    gap = 0.8
    height = len(shown) + gap * len(categories)
    axes.set_xscale("log")
    axes.set_xlim(left, 1.0)
    axes.set_ylim(height - 0.3, -0.7)
    axes.set_yticks([])
    axes.set_xticks([tick for tick in TICKS if tick >= left], [f"{tick * 100:g} %" for tick in TICKS if tick >= left])
    axes.minorticks_off()
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0, labeltop=True)
    for side in axes.spines.values():
        side.set_visible(False)
    y = 0.0
    for category in categories:
        axes.text(-0.01, y, category, transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold", color=COLOURS[category])
        y += gap
        for finding in (finding for finding in shown if finding.category == category):
            _line(axes, y, finding, stats, left)
            y += 1


def _line(axes: Axes, y: float, finding: Finding, stats: CohortStats, left: float) -> None:
    colour = COLOURS[finding.category]
    whole = stats.all.findings[finding.index]
    known = whole.present + whole.absent
    beside = axes.get_yaxis_transform()
    axes.text(-0.01, y, finding.display_name, transform=beside, ha="right", va="center", color="black" if known else "#999999")
    label = f"{whole.present} / {known}" if known else "not assessed"
    axes.text(1.015, y, label, transform=beside, ha="left", va="center", fontsize=7.5, color="black" if known else "#999999")
    axes.axhline(y, color="#eeeeee", linewidth=0.8, zorder=0)
    for number, (split, group) in enumerate(stats.splits.items()):
        offset = ROOM * ((number + 0.5) / len(stats.splits) - 0.5)
        _mark(axes, y + offset, group.findings[finding.index], split, colour, left)


def _mark(axes: Axes, y: float, counts: FindingCounts, split: str, colour: str, left: float) -> None:
    if counts.prevalence is None or counts.low is None or counts.high is None:
        return
    shape, filled = MARKS[split]
    axes.plot([max(counts.low, left), counts.high], [y, y], color=colour, linewidth=0.9, alpha=0.45, solid_capstyle="butt")
    if counts.present == 0:
        axes.plot(left, y, "<", markersize=4, markerfacecolor="white", markeredgecolor=colour, clip_on=False)
    else:
        inside = colour if filled else "white"
        axes.plot(counts.prevalence, y, shape, markersize=3.6, markerfacecolor=inside, markeredgecolor=colour, markeredgewidth=0.9)


def _heading(figure: Figure, stats: CohortStats, title: str) -> None:
    """Title, size of the cohort, and which mark is which split."""
    figure.text(0.012, 0.972, title, fontsize=14, weight="bold", va="center", parse_math=False)
    everything = stats.all
    size = f"{everything.studies:,} studies of {everything.patients:,} patients, {everything.cardinality:.2f} findings present in a study"
    figure.text(0.012, 0.947, f"{size}, {everything.assessed:.0%} of all states assessed", color="#444444", va="center")
    x = 0.56
    for split, group in stats.splits.items():
        shape, filled = MARKS[split]
        mark = figure.add_axes((x, 0.962, 0.02, 0.02))
        mark.axis("off")
        mark.plot(0, 0, shape, markersize=6, markerfacecolor="#444444" if filled else "white", markeredgecolor="#444444")
        name = "no split" if split == "none" else split
        figure.text(x + 0.018, 0.972, f"{name} ({group.studies:,})", va="center", fontsize=10)
        x += 0.105
    note = "Present / (present + absent) with its Wilson 95 % interval; triangle: none present. Beside it: both counts, all splits."
    figure.text(0.56, 0.947, note, color="#444444", va="center", fontsize=7.5)
