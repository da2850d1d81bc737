"""Writes the tables of docs/models.md from the same data as the code: `python -m headct_molre.models.page docs/models.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from .backbones import backbone_names, backbone_spec
from .counts import count_parameters
from .published import TABLE_2


def with_tables(page: str) -> str:
    """The page with what lies between `<!-- table: NAME -->` and `<!-- end -->` written anew. Raises KeyError for an unknown name."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", page, flags=re.DOTALL
    )


def counts() -> str:
    """Parameters in millions, with the paper's Table 2 beside them."""
    rows = [
        ["model", "backbone", "LoRA", "MoLRE", "paper", "query + head", "total", "paper", "trainable", "paper"],
        ["---", *["---:"] * 9],
    ]
    for name in backbone_names():
        count, paper = count_parameters(backbone_spec(name)), TABLE_2.get(name)
        rows.append(
            [
                f"`{name}`",
                f"{count.backbone / 1e6:.3f}",
                f"{count.lora / 1e6:.3f}",
                f"{count.molre / 1e6:.2f}",
                "" if paper is None or paper.molre is None else f"{paper.molre:.2f}",
                f"{count.head / 1e6:.3f}",
                f"{count.total / 1e6:.1f}",
                "" if paper is None else f"{paper.total:.1f}",
                f"{count.trainable / 1e6:.2f}",
                "" if paper is None else f"{paper.trainable:.2f}",
            ]
        )
    return _markdown(rows)


def inputs() -> str:
    """What each backbone reads, and what its feature is."""
    rows = [["model", "network", "kind", "input", "windows (HU)", "feature"], ["---"] * 6]
    for name in backbone_names():
        spec = backbone_spec(name)
        size = "x".join(map(str, ([spec.depth] if spec.depth else []) + list(spec.input_px)))
        if spec.cpu_input_px:
            size += f" (CPU: {'x'.join(map(str, spec.cpu_input_px))})"
        windows = ", ".join(f"{low:g}..{high:g}" for low, high in spec.windows)
        rows.append([f"`{name}`", spec.title, spec.kind, size, windows, f"{spec.dimension}: {spec.pooling}"])
    return _markdown(rows)


def weights() -> str:
    """Where the weights of each backbone come from, under which terms, and which key formats are read."""
    rows = [["model", "licence", "hub id", "key formats"], ["---"] * 4]
    for name in backbone_names():
        spec = backbone_spec(name)
        licence = f"[{spec.licence}]({spec.licence_url})" if spec.licence_url else spec.licence
        hub = f"`{spec.hub_id}`" if spec.hub_id else "in the repository" if name == "demo" else "not published"
        rows.append([f"`{name}`", licence, hub, ", ".join(published.name for published in spec.formats)])
    return _markdown(rows)


TABLES: dict[str, Callable[[], str]] = {"counts": counts, "inputs": inputs, "weights": weights}


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
