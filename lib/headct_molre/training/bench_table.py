"""The table of the adapter benchmark for a reader (`table.md`), a spreadsheet (`table.csv`) and a program (`table.json`)."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from .. import __version__
from ..evaluation.evaluate import CAUTION
from ..findings import CATEGORIES
from ..output import write_whole
from .bench import BASELINE, MOLRE, Bench
from .bench_rows import bench_rows

ARMS = {BASELINE: "baseline", MOLRE: "MoLRE"}
HEADS = [
    *("model", "kind", "arm", "status", "total (M)", "paper", "trainable (M)", "paper", "MoLRE (M)", "paper", "mean AUC", "paper"),
    *("SD over findings", "SD over seeds", *CATEGORIES, "AUC > 0.9", "by lower bound", "difference to baseline (95 %)"),
    *("better after Holm", "worse after Holm"),
]
SEED_HEADS = ["model", "arm", "seed", "mean AUC (95 %)", "difference to baseline (95 %)", "better", "worse", "best epoch", "device hours"]


def write_table(bench: Bench) -> list[dict[str, Any]]:
    """Write `table.md`, `table.csv` and `table.json` of what is finished into the benchmark's folder; returns the rows."""
    rows = bench_rows(bench)
    document = {
        "schema": "headct.bench/1",
        "software": f"headct-molre {__version__}",
        "manifest_sha256": bench.manifest_sha256,
        "seeds": bench.seeds,
        "settings": bench.arms[0].config.model_dump(exclude={"model", "molre", "seed"}),
        "rows": rows,
    }
    write_whole(bench.out / "table.json", (json.dumps(document, indent=2) + "\n").encode())
    write_whole(bench.out / "table.csv", _csv(rows).encode())
    write_whole(bench.out / "table.md", _page(rows, bench).encode())
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    """The main table with a number in each cell, in full precision, and an empty one where there is none."""
    text = io.StringIO()
    lines = [_numbers(row) for row in rows]
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    difference = row["difference"] or {}
    plain = {name: value for name, value in row.items() if not isinstance(value, dict | list) and name not in ("difference", "published")}
    return (
        plain
        | {f"auc {name}": value for name, value in row["categories"].items()}
        | {f"difference_{end}": difference.get(end) for end in ("value", "low", "high")}
        | {f"{name}_by_seed": " ".join(map(str, _counts(row, name))) for name in ("better_by_holm", "worse_by_holm")}
        | {f"published_{name}": (row["published"] or {}).get(name) for name in ("total", "trainable", "molre", "mean_auc")}
    )


def _page(rows: list[dict[str, Any]], bench: Bench) -> str:
    runs = [run for row in rows for run in row["seeds"]]
    parts = ["# Baseline against MoLRE", CAUTION, _studies(runs), _markdown(HEADS, [_row(row) for row in rows])]
    parts.append(
        f"Seeds {', '.join(map(str, bench.seeds))}. Values are means over the finished seeds; findings better and worse are given for each "
        'seed, by paired DeLong after Holm. An interval resamples patients and holds the seeds. "paper" is Table 2 of arXiv 2603.00675: '
        "another cohort, and for parameters see docs/models.md."
    )
    if runs:
        parts += ["## By seed", _markdown(SEED_HEADS, [_seed_row(row, run) for row in rows for run in row["seeds"]])]
    return "\n\n".join(parts) + "\n"


def _studies(runs: list[dict[str, Any]]) -> str:
    if not runs:
        return "Nothing is trained yet: parameters are counted on the networks, and the paper's values stand beside what is to come."
    first = runs[0]
    synthetic = f", {first['synthetic_studies']} of them synthetic" if first["synthetic_studies"] else ""
    return f"Judged on {first['studies']} studies of the split '{first['split']}'{synthetic}."


def _row(row: dict[str, Any]) -> list[str]:
    paper = row["published"] or {}
    molre = row["arm"] == MOLRE
    # The paper prints the parameters of the model with MoLRE where there is one.
    printed = paper if molre or paper.get("molre") is None else {}
    difference = _interval(row["difference"], "+")
    return [
        f"`{row['model']}`",
        row["kind"],
        ARMS[row["arm"]],
        row["status"],
        _shown(row["total_parameters"] / 1e6, 1),
        _shown(printed.get("total"), 1),
        _shown(row["trainable_parameters"] / 1e6, 2),
        _shown(printed.get("trainable"), 2),
        _shown(row["molre_parameters"] / 1e6, 2) if molre else "",
        _shown(printed.get("molre"), 2),
        _shown(row["mean_auc"], 3),
        _shown(paper.get("mean_auc"), 3),
        _shown(row["sd_auc_over_findings"], 3),
        _shown(row["sd_auc_over_seeds"], 4),
        *(_shown(row["categories"][name], 3) for name in CATEGORIES),
        _shown(row["above_090"], 1),
        _shown(row["above_090_by_lower_bound"], 1),
        difference,
        ", ".join(map(str, _counts(row, "better_by_holm"))),
        ", ".join(map(str, _counts(row, "worse_by_holm"))),
    ]


def _seed_row(row: dict[str, Any], run: dict[str, Any]) -> list[str]:
    return [
        f"`{row['model']}`",
        ARMS[row["arm"]],
        str(run["seed"]),
        _interval(run["macro_auc"]),
        _interval(run["difference"], "+"),
        "" if run["better_by_holm"] is None else str(len(run["better_by_holm"])),
        "" if run["worse_by_holm"] is None else str(len(run["worse_by_holm"])),
        str(run["best_epoch"]),
        _shown(run["device_hours"], 2),
    ]


def _counts(row: dict[str, Any], name: str) -> list[int]:
    return [len(run[name]) for run in row["seeds"] if run[name] is not None]


def _interval(estimate: dict[str, Any] | None, sign: str = "") -> str:
    if estimate is None or estimate["value"] is None:
        return ""
    shown = f"{estimate['value']:{sign}.3f}"
    return shown if estimate["low"] is None else f"{shown} ({estimate['low']:{sign}.3f} to {estimate['high']:{sign}.3f})"


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))
