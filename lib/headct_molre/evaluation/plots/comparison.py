"""Two models side by side: category means on a radar, and every finding as a dumbbell."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...findings import CATEGORIES, finding
from ..comparison import ALPHA, Comparison
from ..evaluate import Report
from .style import CATEGORY_COLOURS, GRID, INK, MODEL, MUTED, OTHER, message, style

ROW_INCHES = 0.185


def radar(report: Report) -> Figure:
    """Mean AUC of each category with its interval; both models over the same findings where there are two."""
    compared = report.comparison
    if compared is not None:
        series = [(report.model.name, MODEL, {one.name: one.auc for one in compared.categories})]
        series.append((compared.against, OTHER, {one.name: one.auc_against for one in compared.categories}))
    else:
        own = {one.name: one.macro_auc.value for one in report.summary.categories if one.macro_auc.value is not None}
        series = [(report.model.name, MODEL, own)]
    names = [name for name in CATEGORIES if name in series[0][2]]
    counts = (
        {one.name: one.findings for one in compared.categories} if compared else {s.name: s.estimable for s in report.summary.categories}
    )
    with style():
        figure = Figure(figsize=(5.6, 4.9))
        if len(names) < 3:
            message(figure.add_subplot(), "Fewer than three categories are estimable.")
            return figure
        axes: Any = figure.add_axes((0.16, 0.14, 0.68, 0.72), projection="polar")
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        angles = np.linspace(0, 2 * np.pi, len(names), endpoint=False)
        lowest = min(min(values[name] for name in names) for _, _, values in series)
        floor = max(0.0, np.floor((lowest - 0.02) * 20) / 20)
        axes.set_ylim(floor, 1.0)
        rings = np.linspace(floor, 1.0, 6) if 1 - floor > 0.26 else np.arange(floor, 1.001, 0.05)
        axes.set_yticks(rings, [f"{ring:.2f}" for ring in rings], fontsize=7.5, color=MUTED)
        axes.set_rlabel_position(180 / len(names))
        axes.set_xticks(angles, [])
        axes.spines["polar"].set_color(GRID)
        for angle, name in zip(angles, names, strict=True):
            x, y = np.sin(angle), np.cos(angle)
            align = "center" if abs(x) < 0.1 else "left" if x > 0 else "right"
            axes.annotate(
                f"{name}\n{counts[name]} findings",
                (angle, 1.0),
                xytext=(12 * x, 16 * y),
                textcoords="offset points",
                ha=align,
                va="center",
                fontsize=8.5,
                color=CATEGORY_COLOURS[name],
                annotation_clip=False,
            )
        closed = np.r_[angles, angles[0]]
        for label, colour, values in series:
            radii = [values[name] for name in names]
            axes.plot(closed, [*radii, radii[0]], color=colour, linewidth=1.8, marker="o", markersize=4, label=label)
            axes.fill(closed, [*radii, radii[0]], color=colour, alpha=0.08)
        figure.legend(loc="lower center", ncols=2, fontsize=8.5)
        return figure


def dumbbell(name: str, comparison: Comparison) -> Figure:
    """Both AUCs of each compared finding by falling difference; filled where Holm's adjustment leaves one. `name` is the model's."""
    rows = sorted(comparison.findings, key=lambda one: -(one.difference.value or 0.0))
    height = max(3.0, len(rows) * ROW_INCHES + 1.3)
    with style():
        figure = Figure(figsize=(8.6, height))
        if not rows:
            message(figure.add_subplot(), "No finding is estimable under both models.")
            return figure
        axes = figure.add_axes((0.38, 0.55 / height, 0.31, 1 - 1.3 / height))
        right = figure.add_axes((0.73, 0.55 / height, 0.25, 1 - 1.3 / height))
        for one in (axes, right):
            one.set_ylim(len(rows) - 0.4, -0.6)
            one.set_yticks([])
            one.spines["left"].set_visible(False)
            one.grid(axis="x")
            one.set_axisbelow(True)
        axes.set_xlabel("AUC")
        right.set_xlabel("difference with 95 % interval")
        right.axvline(0, color=MUTED, linewidth=0.9)
        for y, row in enumerate(rows):
            ours, theirs, difference = row.auc.value or 0.0, row.auc_against.value or 0.0, row.difference
            certain = row.p_holm is not None and row.p_holm < ALPHA
            label = f"{finding(row.key).display_name}  ({row.positives})"
            axes.text(-0.02, y, label, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=7.5)
            axes.plot([theirs, ours], [y, y], color=MUTED, linewidth=1.3, zorder=1)
            axes.plot(theirs, y, "o", color=OTHER, markersize=4.2, clip_on=False)
            axes.plot(ours, y, "o", color=MODEL, markersize=4.2, clip_on=False)
            colour = (MODEL if (difference.value or 0.0) > 0 else OTHER) if certain else INK
            if difference.low is not None and difference.high is not None:
                right.plot([difference.low, difference.high], [y, y], color=colour, linewidth=1.3, alpha=1.0 if certain else 0.45)
            right.plot(
                difference.value or 0.0,
                y,
                "o",
                color=colour,
                markersize=4,
                markerfacecolor=colour if certain else "none",
                alpha=1.0 if certain else 0.6,
            )
        named = ((name, MODEL), (comparison.against, OTHER))
        handles = [axes.plot([], [], "o", color=colour, label=name)[0] for name, colour in named]
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.35, 1 - 0.1 / height), ncols=2, fontsize=8.5)
        right.set_title("filled: p < 0.05 after Holm", fontsize=7.5, fontweight="normal", color=MUTED)
        return figure
