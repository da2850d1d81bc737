"""How fast the widgets of the Slicer module draw, beside the limits that they have to keep.

    .venv-slicer/bin/python benchmarks/slicer_ui.py [--repeats 60] [--json FILE]

Runs in the harness (PySide6 in place of PythonQt, drawn by the CPU, no screen), on a made-up prediction of 75 findings. Median and 95th
percentile of `repeats` runs on the clock, and the median of the processor's time. On a machine with nothing else to do the two are the
same, since nothing here waits; the ratio is that of the processor's time over the limit, as other programs do not change it much. Ends with
1 where a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "slicer"), str(ROOT / "slicer_module" / "HeadCTFindings")]

from harness.session import start  # noqa: E402

start()

import qt  # noqa: E402

from HeadCTFindingsLib.core.calls import Calls  # noqa: E402
from HeadCTFindingsLib.core.catalogue import Catalogue  # noqa: E402
from HeadCTFindingsLib.core.prediction import PredictionView  # noqa: E402
from HeadCTFindingsLib.ui.findings_panel import FindingsPanel  # noqa: E402
from HeadCTFindingsLib.ui.router_map import RouterMap  # noqa: E402
from made_documents import findings_document, prediction_document  # noqa: E402

ALL_ROWS_PX = 1950
"""So high that the 75 findings and their headings are all on the screen at once: more than any monitor shows."""


def main() -> int:
    """Measure, print the table, write JSON; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.repeats)
    print(f"{'':52}{'median':>9}{'95 %':>9}{'cpu':>9}{'limit':>9}{'ratio':>8}")
    for name, row in rows.items():
        print(
            f"{name:52}{row['median_ms']:6.2f} ms{row['p95_ms']:6.2f} ms{row['cpu_ms']:6.2f} ms{row['limit_ms']:6.0f} ms{row['ratio']:8.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(row["ratio"] > 1 for row in rows.values()))


def measure(repeats: int) -> dict[str, dict[str, float]]:
    """{what: median_ms, p95_ms, cpu_ms, limit_ms, ratio}."""
    catalogue = Catalogue.from_json(findings_document())
    views = [PredictionView.from_json(prediction_document(seed)) for seed in (0, 1)]
    panel, calls = FindingsPanel(), Calls(catalogue.keys)
    panel.set_catalogue(catalogue)
    panel.show_study(calls, views[0])
    panel.resize(480, ALL_ROWS_PX)
    panel.show()
    maps = {slices: _map(catalogue, slices, upright=True) for slices in (38, 400)}
    lying = _map(catalogue, 38, upright=False)
    qt.QApplication.processEvents()
    states = ("present", "uncertain", "absent")

    def repaint_table(turn: int) -> None:
        panel.table.viewport().repaint()

    def call(turn: int) -> None:
        panel.table.clicked_call.emit(catalogue.keys[turn % 75], states[turn % 3])
        panel.table.viewport().repaint()

    def type_filter(turn: int) -> None:
        panel.toolbar.box.setText(("hem", "")[turn % 2])
        panel.table.viewport().repaint()

    def update_all(turn: int) -> None:
        """What the module does when a prediction arrives, from the JSON text to the last pixel."""
        view = PredictionView.from_json(json.loads(texts[turn % 2]))
        panel.show_study(calls, view)
        for each in (maps[38], lying):
            each.show_prediction(view)
            each.show_finding("subdural_hematoma")
            each.repaint()
        panel.repaint()

    texts = [json.dumps(prediction_document(seed)) for seed in (0, 1)]
    return {
        "table, 75 rows: repaint": _timed(repaint_table, repeats, 16),
        "table, 75 rows: one call and repaint": _timed(call, repeats, 16),
        "table, 75 rows: filter and repaint": _timed(type_filter, repeats, 50),
        "router map beside the view, 38 slices: cursor move": _timed(_cursor(maps[38], 38), repeats, 5),
        "router map beside the view, 400 slices: cursor move": _timed(_cursor(maps[400], 400), repeats, 5),
        "router map in the panel, 38 slices: cursor move": _timed(_cursor(lying, 38), repeats, 5),
        "full update after a prediction": _timed(update_all, repeats, 100),
    }


def _map(catalogue: Catalogue, slices: int, upright: bool) -> Any:
    made = RouterMap(upright)
    made.catalogue = catalogue
    made.show_prediction(PredictionView.from_json(prediction_document(0, slices)))
    made.show_finding("subdural_hematoma")
    made.resize(*((240, 900) if upright else (480, 260)))
    made.show()
    return made


def _cursor(made: Any, slices: int) -> Callable[[int], None]:
    def move(turn: int) -> None:
        made.move_cursor(turn % slices + 0.25)
        made.repaint()

    return move


def _timed(work: Callable[[int], None], repeats: int, limit_ms: float) -> dict[str, float]:
    work(0)
    clock, processor = [], []
    for turn in range(1, repeats + 1):
        begun, busy = time.perf_counter(), time.thread_time()
        work(turn)
        processor.append(1000 * (time.thread_time() - busy))
        clock.append(1000 * (time.perf_counter() - begun))
        qt.QApplication.processEvents()
    median, p95 = statistics.median(clock), statistics.quantiles(clock, n=20)[-1]
    busy_ms = statistics.median(processor)
    return {"median_ms": median, "p95_ms": p95, "cpu_ms": busy_ms, "limit_ms": limit_ms, "ratio": busy_ms / limit_ms}


if __name__ == "__main__":
    sys.exit(main())
