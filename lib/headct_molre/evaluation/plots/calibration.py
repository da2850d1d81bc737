"""Reliability diagrams of the findings with most positives."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ...findings import finding
from ..evaluate import Report
from .style import CATEGORY_COLOURS, MUTED, message, style

PANELS = 12
COLUMNS = 4


def reliability_diagrams(report: Report, panels: int = PANELS) -> Figure:
    """Mean probability against the share of positives in bins of equal mass, each with its interval; on the diagonal is calibrated."""
    calibrated = [one for one in report.findings if one.calibration.reliability]
    chosen = sorted(calibrated, key=lambda one: -one.positives)[:panels]
    rows = max(1, -(-len(chosen) // COLUMNS))
    with style():
        figure = Figure(figsize=(8.6, 2.25 * rows + 0.5), layout="constrained")
        if not chosen:
            message(figure.add_subplot(), "No finding has a frozen calibration and enough cases.")
            return figure
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axes, one in zip(grid.flat, chosen, strict=False):
            curve = one.calibration.reliability
            observed = np.array([part.observed.value for part in curve], float)
            low = np.array([part.observed.low for part in curve], float)
            high = np.array([part.observed.high for part in curve], float)
            predicted = np.array([part.predicted for part in curve])
            end = min(1.0, 1.08 * max(float(high.max()), float(predicted.max())))
            axes.plot([0, end], [0, end], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            colour = CATEGORY_COLOURS[one.category]
            axes.vlines(predicted, low, high, color=colour, linewidth=1.2, alpha=0.6)
            axes.plot(predicted, observed, marker="o", markersize=3.5, linewidth=1.1, color=colour)
            axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
            axes.locator_params(nbins=4)
            axes.tick_params(labelsize=7.5)
            axes.set_title(_short(finding(one.key).display_name), fontsize=8.2, loc="left")
            ece = one.calibration.ece_debiased.value or 0.0
            axes.text(
                0.97, 0.04, f"n+ {one.positives}\nECE {ece:.3f}", transform=axes.transAxes, ha="right", va="bottom", fontsize=7, color=MUTED
            )
        for axes in grid.flat[len(chosen) :]:
            axes.set_axis_off()
        figure.supxlabel("mean calibrated probability", fontsize=9)
        figure.supylabel("share of studies with the finding", fontsize=9)
        return figure


def _short(name: str, longest: int = 26) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip()}…"
