"""The picture of active_learning.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Told apart without colour as well: by dash and marker. Colours of Paul Tol's bright scheme.
STYLES = {
    "random": ("#000000", "--", "o"),
    "rarity_entropy": ("#4477aa", "-", "o"),
    "rare_positives": ("#ee6677", "-", "s"),
    "margin": ("#228833", "-", "^"),
    "bald": ("#ccbb44", "-", "D"),
    "typical": ("#66ccee", "-.", "v"),
    "disagreement": ("#aa3377", ":", "x"),
}
PANELS = (("target", "shifted site, all findings"), ("tail", "shifted site, findings below 5 %"), ("source", "source site"))


def draw(document: dict[str, Any], path: Path) -> None:
    """Mean AUC over findings against corrections: shifted site, its tail, and the source; below, the arms without anchor or replay."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 4, figsize=(13.5, 4.2), layout="constrained", width_ratios=(1, 1, 1, 1.1))
    for panel, (what, title) in zip(panels, PANELS, strict=False):
        _curves(panel, document, what)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("corrections")
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("mean AUC over findings")
    panels[0].axhline(document["goal"], c="0.6", lw=0.8)
    _arms(panels[3], document)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STYLES), fontsize=9)
    figure.suptitle("Phantoms only: nothing here is a statement about patients", fontsize=9)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _curves(panel: Any, document: dict[str, Any], what: str) -> None:
    corrections = document["corrections"]
    for name, seeds in document["curves"].items():
        colour, dash, marker = STYLES[name]
        values = np.array([seed[what] for seed in seeds])
        panel.plot(corrections, values.mean(0), c=colour, ls=dash, marker=marker, ms=4, lw=1.4, label=name)
        if name in ("random", "rarity_entropy") and len(values) > 1:
            panel.fill_between(corrections, values.min(0), values.max(0), color=colour, alpha=0.12, lw=0)


def _arms(panel: Any, document: dict[str, Any]) -> None:
    arms = [{"title": "as released", **document["released"]}, *document["arms"]]
    for row, arm in enumerate(arms):
        panel.plot(arm["target"], row, "o", c="#4477aa", ms=7, label="shifted site" if row == 0 else None)
        panel.plot(arm["source"], row, "D", c="#ee6677", ms=6, mfc="none", mew=1.5, label="source site" if row == 0 else None)
    panel.set_yticks(range(len(arms)), [arm["title"] for arm in arms], fontsize=8)
    panel.set_ylim(len(arms) + 0.6, -0.5)  # room for the legend
    panel.set_title(f"tuned on {document['corrections'][-1]} corrections", fontsize=9)
    panel.set_xlabel("mean AUC over findings")
    panel.legend(fontsize=8, loc="lower center", ncols=2)
    panel.grid(alpha=0.25)
