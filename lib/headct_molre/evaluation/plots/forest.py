"""Forest plot: the AUC of every finding with its interval, by category and falling AUC."""

from __future__ import annotations

from matplotlib.figure import Figure

from ...findings import CATEGORIES, finding
from ..evaluate import FindingEvaluation, Report
from .style import CATEGORY_COLOURS, GRID, INK, MUTED, style

ROW_INCHES = 0.185
LOWEST = 0.4
# Edges of the table around the axes, in widths of the axes.
LEFT, RIGHT = -0.97, 1.72


def forest(report: Report) -> Figure:
    """One row a finding: name, interval, AUC in figures and how many studies show it; findings that are not estimable keep their row."""
    rows: list[FindingEvaluation | str | None] = []
    for category in CATEGORIES:
        members = [one for one in report.findings if one.category == category]
        rows += [
            *([None] if rows else []),
            category,
            *sorted(members, key=lambda one: -(one.auc.value if one.auc.value is not None else -1.0)),
        ]
    estimable = [one.auc for one in report.findings if one.auc.value is not None]
    left = min([0.5, *(one.low for one in estimable if one.low is not None)])
    left = max(0.0, round(left - 0.05, 1)) if left < LOWEST else LOWEST
    height = len(rows) * ROW_INCHES + 1.1
    with style():
        figure = Figure(figsize=(8.6, height))
        axes = figure.add_axes((0.36, 0.55 / height, 0.37, 1 - 1.1 / height))
        axes.set_xlim(left, 1.0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.axvline(0.9, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_xlabel("AUC with 95 % interval")
        axes.tick_params(axis="x", top=True, labeltop=True)
        across = axes.get_yaxis_transform()
        for title, x, align in (("AUC [95 % CI]", 1.06, "left"), ("present / assessed", RIGHT, "right")):
            axes.text(x, -1.75, title, transform=across, ha=align, va="center", fontsize=8, color=MUTED)
        for y, row in enumerate(rows):
            if row is None:
                continue
            if isinstance(row, str):
                axes.text(LEFT, y, row, transform=across, va="center", fontsize=9, fontweight="bold", color=CATEGORY_COLOURS[row])
                axes.plot([LEFT, RIGHT], [y + 0.5, y + 0.5], transform=across, color=GRID, linewidth=0.8, clip_on=False)
                continue
            colour = CATEGORY_COLOURS[row.category]
            auc = row.auc
            axes.text(-0.02, y, finding(row.key).display_name, transform=across, ha="right", va="center", fontsize=7.5)
            axes.text(RIGHT, y, f"{row.positives} / {row.assessed}", transform=across, ha="right", va="center", fontsize=7.5, color=MUTED)
            if auc.value is None:
                axes.text(1.06, y, "not estimable", transform=across, va="center", fontsize=7.5, color=MUTED, style="italic")
                continue
            figures = f"{auc.value:.3f}"
            if auc.low is not None and auc.high is not None:
                axes.plot([auc.low, auc.high], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt")
                figures += f" [{auc.low:.3f}, {auc.high:.3f}]"
            axes.plot(auc.value, y, marker="s", markersize=4, color=colour, clip_on=False)
            axes.text(1.06, y, figures, transform=across, va="center", fontsize=7.5, color=INK)
        return figure
