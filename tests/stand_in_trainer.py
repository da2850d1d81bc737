"""A process that keeps the protocol of a training job and learns nothing: what a job needs of its process, and what can go wrong with it.

`behaviour` in the studies folder says what it does; without, it makes a version in a few steps, going on where an earlier start stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from headct_molre.models.locations import SHIPPED, home
from headct_molre.output import write_whole

STEP_S = 0.05
SHIPPED_VERSION = "2.0"


def main(folder: Path) -> int:
    """One run; the exit codes are those of the protocol."""
    task = json.loads((folder / "task.json").read_text())
    path = Path(task["studies_folder"]) / "behaviour"
    behaviour = path.read_text() if path.exists() else ""
    with (folder / "starts").open("a") as starts:
        starts.write("started\n")
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else lambda *_: sys.exit(143))
    print("a line of the log, with an umlaut: ü")
    if behaviour == "refuses":
        _write(folder / "error.json", {"code": "one_class_only", "message": "There is one class only."})
        return 2
    if behaviour == "crashes":
        raise RuntimeError("nobody thought of this")
    if behaviour == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    held = []
    checkpoint, steps = folder / "checkpoint.safetensors", 4
    first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
    for step in range(first, steps + 1):
        progress = {"stage": "training", "stage_number": 3, "stages": 5, "epoch": step, "epochs": steps, "seconds_left": 1.0}
        progress |= {"percentage": 100 * step / steps, "metrics": {"loss": 1 / step}, "message": f"Epoch {step} of {steps}"}
        _write(folder / "progress.json", progress)
        write_whole(checkpoint, str(step).encode())
        time.sleep(STEP_S)
        while behaviour in ("hangs", "stubborn", "eats memory") and step == 2:
            held.append(b"x" * 20_000_000 if behaviour == "eats memory" else b"")
            time.sleep(STEP_S)
    version, parent = f"2.0-c{task['until']}-stand-in", SHIPPED_VERSION
    outcome = behaviour if behaviour in ("hold", "reject") else "promote"
    _make_version(task["model"], version, parent, outcome)
    result = {"version": version, "parent": parent, "outcome": outcome, "summary": ["Nothing was learned."], "counts": {"trained": 0}}
    result["promotes_by_itself"] = outcome == "promote" and task["gate_policy"]["decision"] == "automatic"
    _write(folder / "result.json", result | {"metrics": {"auc": 0.5}, "weights_sha256": "0" * 64, "seconds": {"training": 0.2}})
    return 0


def _make_version(model: str, version: str, parent: str, outcome: str) -> None:
    """The shipped weights under another name, with a gate's report that says `outcome`."""
    folder = home() / "models" / model
    target = folder / version
    if not target.exists():
        shutil.copytree(SHIPPED / model / parent, folder / f".{version}")
        card = json.loads((folder / f".{version}" / "model.json").read_text())
        (folder / f".{version}" / "model.json").write_text(json.dumps(card | {"version": version, "parent": parent}))
        os.rename(folder / f".{version}", target)
    gate = folder / ".gate" / version
    gate.mkdir(parents=True, exist_ok=True)
    weights = json.loads((target / "model.json").read_text())["weights_sha256"]
    _write(gate / "gate.json", {"candidate": {"weights_sha256": weights}, "champion": {"version": parent}, "outcome": outcome})


def _write(path: Path, document: dict[str, object]) -> None:
    write_whole(path, json.dumps(document).encode())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
