"""All findings at a glance: how AUCs are spread, and how they go with prevalence."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ...findings import CATEGORIES
from ..comparison import HIGH_AUC
from ..evaluate import Report
from .style import CATEGORY_COLOURS, MUTED, message, style


def prevalence_scatter(report: Report) -> Figure:
    """AUC with its interval against prevalence; where intervals are long, the height of a point says little."""
    known = [one for one in report.findings if one.auc.value is not None]
    with style():
        figure = Figure(figsize=(8.6, 3.9), layout="constrained")
        axes = figure.add_subplot()
        if not known:
            message(axes, "No finding is estimable.")
            return figure
        for category in CATEGORIES:
            members = [one for one in known if one.category == category]
            if not members:
                continue
            x = np.array([one.prevalence for one in members], float) * 100
            y = np.array([one.auc.value for one in members], float)
            low = np.array([one.auc.low if one.auc.low is not None else one.auc.value for one in members], float)
            high = np.array([one.auc.high if one.auc.high is not None else one.auc.value for one in members], float)
            colour = CATEGORY_COLOURS[category]
            axes.vlines(x, low, high, color=colour, linewidth=1, alpha=0.4)
            axes.plot(x, y, "o", markersize=4.5, color=colour, label=category)
        axes.axhline(HIGH_AUC, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="prevalence among assessed studies, % (logarithmic)", ylabel="AUC with 95 % interval")
        axes.set_ylim(top=1.005)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=6, fontsize=8, handletextpad=0.1, columnspacing=1.2)
        return figure


def histogram(report: Report) -> Figure:
    """How many findings reach which AUC, by category."""
    known = [one for one in report.findings if one.auc.value is not None]
    with style():
        figure = Figure(figsize=(8.6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        if not known:
            message(axes, "No finding is estimable.")
            return figure
        values = [[one.auc.value or 0.0 for one in known if one.category == category] for category in CATEGORIES]
        start = np.floor(min(min(part) for part in values if part) / 0.025) * 0.025
        axes.hist(
            values,
            bins=np.arange(start, 1.0 + 0.0125, 0.025).tolist(),
            stacked=True,
            color=[CATEGORY_COLOURS[name] for name in CATEGORIES],
            label=CATEGORIES,
            rwidth=0.94,
        )
        axes.axvline(HIGH_AUC, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set(xlabel="AUC", ylabel="findings")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=6, fontsize=8, handletextpad=0.5, columnspacing=1.2)
        return figure
