"""The picture of adapters.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BASELINE, MOLRE, CONTROL = "#999999", "#4477aa", "#ddcc77"


def draw(document: dict[str, Any], path: Path) -> None:
    """Macro AUC of each variant and seed, differences to the baseline with intervals; for cached features AUC against K and against r."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = document["experiments"]
    heights = [0.32 * len(one["variants"]) + 0.7 for one in found.values()]
    swept = found.get("cached")
    if swept:
        heights.append(3.0)
    figure, panels = plt.subplots(
        len(heights), 2, figsize=(11, sum(heights) + 0.8), layout="constrained", height_ratios=heights, squeeze=False
    )
    for (name, one), (left, right) in zip(found.items(), panels, strict=False):
        _dots(left, name, one["variants"])
        _differences(right, one["variants"])
    if swept:
        for panel, axis, held in ((panels[-1][0], "experts", ("rank", 8)), (panels[-1][1], "rank", ("experts", 6))):
            _sweep(panel, swept["variants"], axis, held)
    figure.suptitle("Phantoms only: nothing here is a statement about patients", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _colour(variant: dict[str, Any]) -> str:
    return BASELINE if variant["baseline"] else CONTROL if variant["control"] else MOLRE


def _dots(panel: Any, name: str, variants: list[dict[str, Any]]) -> None:
    for row, variant in enumerate(variants):
        values = [run["macro_auc"] for run in variant["runs"]]
        panel.plot(values, [row] * len(values), "o", c=_colour(variant), ms=5, alpha=0.7)
        panel.plot(variant["mean"], row, "|", c="black", ms=14)
    panel.set_yticks(range(len(variants)), [variant["title"] for variant in variants], fontsize=8)
    panel.set_ylim(len(variants) - 0.5, -0.5)
    panel.set_title(f"{name}: macro AUC, a dot for each seed, a line at their mean", fontsize=8)
    panel.locator_params(axis="x", nbins=5)
    panel.grid(axis="x", alpha=0.25)


def _differences(panel: Any, variants: list[dict[str, Any]]) -> None:
    for row, variant in enumerate(variants):
        for place, run in enumerate(variant["runs"]):
            _interval(panel, run["difference"], row - 0.24 + 0.48 * place / max(len(variant["runs"]) - 1, 1), _colour(variant), 1, 3)
        _interval(panel, variant["difference"], row, "black", 2, 4)
    panel.axvline(0, c="0.5", lw=1, ls="--")
    panel.set_yticks([])
    panel.set_ylim(len(variants) - 0.5, -0.5)
    panel.set_title("difference to the baseline, 95 %: seeds, and their mean in black", fontsize=8)
    panel.locator_params(axis="x", nbins=5)
    panel.grid(axis="x", alpha=0.25)


def _interval(panel: Any, difference: dict[str, Any] | None, row: float, colour: str, width: float, size: float) -> None:
    if difference is None or difference["value"] is None:
        return
    panel.plot(difference["value"], row, "o", c=colour, ms=size)
    if difference["low"] is not None:
        panel.plot([difference["low"], difference["high"]], [row, row], c=colour, lw=width)


def _sweep(panel: Any, variants: list[dict[str, Any]], axis: str, held: tuple[str, int]) -> None:
    chosen = [one for one in variants if not one["control"] and not one["baseline"] and one[held[0]] == held[1]]
    chosen.sort(key=lambda one: one[axis])
    for variant in chosen:
        panel.plot([variant[axis]] * len(variant["runs"]), [run["macro_auc"] for run in variant["runs"]], "o", c=MOLRE, ms=4, alpha=0.6)
    panel.plot([one[axis] for one in chosen], [one["mean"] for one in chosen], c=MOLRE)
    baseline = next(one for one in variants if one["baseline"])
    panel.axhline(baseline["mean"], c=BASELINE, ls="--", label=baseline["title"])
    names = {"experts": "experts K", "rank": "rank r"}
    panel.set_xlabel(f"{names[axis]}, at {held[0]} {held[1]}")
    panel.set_ylabel("macro AUC")
    panel.legend(fontsize=8)
    panel.grid(alpha=0.25)
