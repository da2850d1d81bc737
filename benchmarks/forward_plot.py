"""The picture of forward.py."""

from __future__ import annotations

from pathlib import Path

COLOURS = {
    "plain loop": "#999999",
    "torch-fp32": "#88ccee",
    "torch-bf16": "#4477aa",
    "openvino-fp32": "#ddcc77",
    "openvino-bf16": "#cc6677",
}


def draw(report: dict, path: Path) -> None:
    """Seconds for a study and share of the processor's peak, a group of bars for each backbone; of a GPU, slices a second."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = report["backbones"]
    labels = [f"{name}\n{row['input_px'][0]} x {row['input_px'][1]}" for name, row in rows.items()]
    height = 1.6 + 1.1 * len(rows)
    if any("modes" in row for row in rows.values()):
        figure, panel = plt.subplots(figsize=(8, height), layout="constrained")
        values = {mode: [row["modes"].get(mode, {}).get("per_second") for row in rows.values()] for mode in ("fp32", "tf32", "bf16")}
        _bars(panel, values, labels, "slices a second (3D: studies a second)", "{:.0f}")
    else:
        figure, panels = plt.subplots(1, 2, figsize=(13, height), layout="constrained", sharey=True)
        engines = list(dict.fromkeys(engine for row in rows.values() for engine in row["engines"]))
        times = {engine: [row["engines"].get(engine, {}).get("s_per_study") for row in rows.values()] for engine in engines}
        naive = [row.get("plain loop", {}).get("s_per_study") for row in rows.values()]
        shares = {engine: [row["engines"].get(engine, {}).get("of_peak") for row in rows.values()] for engine in engines}
        _bars(panels[0], {"plain loop": naive} | times, labels, "seconds for a study (36 slices, or one volume)", "{:.2g}")
        _bars(panels[1], {"plain loop": [None] * len(rows)} | shares, labels, "share of a large matrix product's speed", "{:.0%}")
        panels[1].axvline(1, ls="--", c="0.5", lw=1)
        panels[1].set_xlim(0, 1.25)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle("{processor}, {threads} threads, torch {torch}, OpenVINO {openvino}".format(**report["machine"]), fontsize=10)
    figure.savefig(path, dpi=110)


def _bars(panel, values: dict[str, list[float | None]], labels: list[str], title: str, text: str) -> None:
    width = 0.8 / len(values)
    for n, (series, numbers) in enumerate(values.items()):
        for row, number in enumerate(numbers):
            place = row + (n - (len(values) - 1) / 2) * width
            if number is not None:
                panel.barh(place, number, width * 0.9, color=COLOURS.get(series, f"C{n}"), label=series if row == 0 else None)
                panel.text(number, place, " " + text.format(number), va="center", fontsize=8)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_xlabel(title)
    panel.margins(x=0.12)
    panel.grid(axis="x", alpha=0.25)
    if panel.get_subplotspec().is_first_col():
        panel.invert_yaxis()
