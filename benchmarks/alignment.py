"""How far the alignment of a moved head departs from that of the same head unmoved, over phantoms and given scans.

    python benchmarks/alignment.py [STUDY ...] [--phantoms 40] [--motions 10] [--json OUT] [--plot OUT.png]

Each head is moved by random rigid motions, up to 25 degrees about and 40 mm along each axis, as it lay and as if its headers had it
upside down, prone, feet first or on its side; there only the affine moves, so that nothing is interpolated. "scanned anew" are moved heads
on a fresh grid of 0.9 x 0.9 x 5 mm, "with shoulders" phantoms with table, head rest, neck and shoulders in a field of 500 mm, against the
plain scan of the same head. Refusals of the gate are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from headct_molre.data.phantom import Surroundings, make_phantom
from headct_molre.data.phantom.cohort import cohort_seed
from headct_molre.errors import StudyRefused
from headct_molre.imaging.align import align
from headct_molre.imaging.cavity import head_grid
from headct_molre.imaging.frame import degrees_between
from headct_molre.imaging.quality import gate
from headct_molre.imaging.read import read_study
from headct_molre.imaging.volume import Volume

DEGREES, MILLIMETRES = 25.0, 40.0
COHORT = 77
LYING = {"as tagged": (0, 0, 0), "upside down": (180, 0, 0), "prone": (0, 0, 180), "feet first": (0, 180, 0), "on its side": (0, 90, 0)}
SCANNED_ANEW, WITH_SHOULDERS = "scanned anew", "with shoulders"
COLUMNS = ("degrees", "mm", "seconds", "confidence", "fallback")


def main() -> None:
    """Run the study and print one JSON object."""
    parser = argparse.ArgumentParser(description="Repeatability of the alignment under known motions.")
    parser.add_argument("studies", nargs="*", type=Path)
    parser.add_argument("--phantoms", type=int, default=40)
    parser.add_argument("--motions", type=int, default=10, help="for a head as tagged; the other ways to lie get a fifth of them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    heads: list[tuple[str, str | int]] = [(f"scan {n + 1}", str(path)) for n, path in enumerate(options.studies)]
    heads += [(f"phantom {n + 1}", cohort_seed(COHORT, n)) for n in range(options.phantoms)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        jobs = [pool.submit(measure, name, source, n, options.motions) for n, (name, source) in enumerate(heads)]
        rows = [row for job in tqdm(jobs, desc="heads", file=sys.stderr) for row in job.result()]
    report = {"heads": len(heads), "motion": f"up to {DEGREES:.0f} degrees and {MILLIMETRES:.0f} mm for each axis"}
    for lying in (*LYING, SCANNED_ANEW, WITH_SHOULDERS):
        report[lying] = summary([row for row in rows if row["lying"] == lying])
    report["scans as tagged"] = summary([row for row in rows if row["lying"] == "as tagged" and str(row["head"]).startswith("scan")])
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        draw(rows, options.plot)
    print(json.dumps(report, indent=2))


def measure(name: str, source: str | int, number: int, motions: int) -> list[dict[str, object]]:
    """All motions of one head; `source` is a path or a phantom's seed."""
    volume = read_study(Path(source)) if isinstance(source, str) else make_phantom(source).volume
    reference = align(volume).standard_from_ras
    rng = np.random.default_rng(number)
    few = max(motions // 5, 1)
    rows = []
    for lying, turn in LYING.items():
        for _ in range(motions if lying == "as tagged" else few):
            moved, motion = shaken(volume, rng, turn)
            rows.append({"head": name, "lying": lying, **departure(moved, motion, reference)})
    for _ in range(few):
        moved, motion = shaken(volume, rng, LYING["as tagged"])
        rows.append({"head": name, "lying": SCANNED_ANEW, **departure(scanned_anew(moved), motion, reference)})
    if isinstance(source, int):
        long = make_phantom(source, surroundings=Surroundings(below_mm=300, field_mm=500)).volume
        for _ in range(few):
            moved, motion = shaken(long, rng, LYING["as tagged"])
            rows.append({"head": name, "lying": WITH_SHOULDERS, **departure(moved, motion, reference)})
    return rows


def shaken(volume: Volume, rng: np.random.Generator, turn: tuple[int, int, int]) -> tuple[Volume, np.ndarray]:
    """The volume after a turn (degrees about x, y and z) and a random motion, and the motion (4, 4)."""
    motion = np.eye(4)
    rotation = Rotation.from_euler("xyz", rng.uniform(-DEGREES, DEGREES, 3), degrees=True)
    motion[:3, :3] = (rotation * Rotation.from_euler("xyz", turn, degrees=True)).as_matrix()
    motion[:3, 3] = rng.uniform(-MILLIMETRES, MILLIMETRES, 3)
    return Volume(volume.hu, motion @ volume.affine, volume.facts), motion


def scanned_anew(volume: Volume) -> Volume:
    """The volume on an axial grid of 0.9 x 0.9 x 5 mm that spans it, air outside."""
    corners = np.array(np.meshgrid(*((0, size - 1) for size in volume.hu.shape))).reshape(3, -1).T
    ras = volume.to_ras(corners)
    step = np.array([5.0, 0.9, 0.9])
    shape = np.ceil(np.ptp(ras, axis=0)[::-1] / step).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -step[2]], [0, -step[1], 0], [step[0], 0, 0]])
    affine[:3, 3] = ras[:, 0].max(), ras[:, 1].max(), ras[:, 2].min()
    index = np.linalg.inv(volume.affine) @ affine
    hu = affine_transform(volume.hu.astype(np.float32), index[:3, :3], index[:3, 3], tuple(shape), order=1, cval=-1000.0)
    return Volume(hu, affine, {})


def departure(volume: Volume, motion: np.ndarray, reference: np.ndarray) -> dict[str, object]:
    """Degrees and mm (at the frame's origin) by which the moved head's alignment departs; {refused: code} where the gate refuses it."""
    grid = head_grid(volume)
    try:
        gate(volume, grid)
    except StudyRefused as refusal:
        return {"refused": refusal.code}
    started = time.perf_counter()
    found = align(volume, grid)
    seconds = time.perf_counter() - started
    change = found.standard_from_ras @ motion @ np.linalg.inv(reference)
    shift = float(np.linalg.norm(change[:3, 3]))
    values = (degrees_between(change, np.eye(4)), shift, seconds, found.confidence, found.method != "symmetry")
    return dict(zip(COLUMNS, values, strict=True))


def summary(rows: Iterable[dict[str, object]]) -> dict[str, object]:
    """Counts and percentiles of one group."""
    rows = list(rows)
    kept = [row for row in rows if "refused" not in row]
    table: dict[str, object] = {
        "n": len(rows),
        "refused": len(rows) - len(kept),
        "kept in the scanner frame": sum(bool(row["fallback"]) for row in kept),
    }
    for column in ("degrees", "mm", "seconds"):
        values = [float(str(row[column])) for row in kept]
        if values:
            median, high = np.percentile(values, (50, 95))
            table[column] = {"median": round(median, 2), "p95": round(high, 2), "max": round(max(values), 2)}
    return table


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Degrees against mm of every motion, one panel for heads as tagged and one for those turned; the limits are dashed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    turned = [lying for lying in LYING if lying != "as tagged"]
    titles = {
        "as the headers say": ["as tagged"],
        ", ".join(turned): turned,
        "scanned anew; with table, neck and shoulders": [SCANNED_ANEW, WITH_SHOULDERS],
    }
    figure, panels = plt.subplots(1, 3, figsize=(15, 4.2), sharex=True, sharey=True, layout="constrained")
    for panel, (title, lying) in zip(panels, titles.items(), strict=True):
        for kind, colour, size in (("phantom", "#4477aa", 8), ("scan", "#cc3311", 22)):
            chosen = [row for row in rows if "refused" not in row and str(row["head"]).startswith(kind) and row["lying"] in lying]
            label = f"{kind}s, n = {len(chosen)}"
            panel.scatter([row["mm"] for row in chosen], [row["degrees"] for row in chosen], s=size, c=colour, label=label, alpha=0.7)
        panel.axhline(4, ls="--", c="0.5", lw=1)
        panel.axvline(5, ls="--", c="0.5", lw=1)
        panel.set(xscale="log", yscale="log", xlabel="shift at the frame's origin, mm")
        panel.set_title(title, fontsize=10)
        panel.grid(alpha=0.25)
        panel.legend(loc="lower right", fontsize=8)
    panels[0].set_ylabel("rotation, degrees")
    figure.suptitle("Departure from the same head unmoved, after motions of up to 25 degrees and 40 mm for each axis", fontsize=11)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
