"""A picture of what a model reads, or of a study that was refused: every slice, small, on black, with the gate's report.

Radiological view: the patient's right on the left of each image, anterior on top. The pictures hold no identifier.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from .. import __version__
from ..errors import StudyRefused
from ..schema import Quality
from .grid import SLICE_GRID
from .prepare import BODY_HU, WINDOWS_HU, Prepared
from .volume import Volume

WINDOW_NAMES = ("Brain", "Subdural", "Bone")
NOTICE = "Research software, not a medical device."
WHITE, LIGHT, GREY, GREEN, AMBER, RED = "#f2f2f2", "#c4c4c4", "#9a9a9a", "#7ccf7c", "#ffb84d", "#ff6b5e"
MARGIN_PX, GAP_PX, STRIP_PX = 18, 3, 42
TITLE_PX, TEXT_PX, LABEL_PX, SMALL_PX = 34, 20, 15, 12
MOST_COLUMNS = 12
# A refused study is shown by this many of its slices at most, none larger than this.
MOST_SLICES, LONGEST_PX = 36, 200


@dataclass(frozen=True)
class Line:
    """A line of text: what it says, its colour and its size in pixels."""

    text: str
    colour: str
    size: int


@dataclass(frozen=True)
class Block:
    """Slices in one window: a title, grey values (S, H, W) in 0..1, a name and a height in mm for each slice."""

    title: str
    grey: np.ndarray
    names: list[str]
    heights_mm: np.ndarray


def prepared_picture(prepared: Prepared, quality: Quality) -> bytes:
    """PNG of every model slice in the three windows, one pixel for each millimetre, with the gate's report."""
    rows, columns = head_box(prepared.hu)
    hu = prepared.hu[:, rows, columns]
    names = [str(number) for number in range(len(hu))]
    heights = prepared.slice_centres_ras[:, 2]
    blocks = [
        Block(f"{name}   {low:.0f} to {high:.0f} HU", np.clip((hu - low) / (high - low), 0, 1), names, heights)
        for name, (low, high) in zip(WINDOW_NAMES, WINDOWS_HU, strict=True)
    ]
    remarks = len(quality.warnings)
    title = f"Accepted, {'no remarks' if remarks == 0 else 'one remark' if remarks == 1 else f'{remarks} remarks'}"
    lines = [Line(title, GREEN if remarks == 0 else AMBER, TITLE_PX)]
    for warning in quality.warnings:
        value = "" if warning.value is None else f" {warning.value:g}"
        lines.append(Line(f"{warning.message}   [{warning.code}{value}]", AMBER, TEXT_PX))
    step, row, column = SLICE_GRID.spacing_mm
    grid = f"{len(hu)} model slices of {step:g} mm, {row:g} x {column:g} mm in plane, drawn pixel by pixel"
    lines += [Line(text, WHITE, TEXT_PX) for text in (*_facts(quality), grid)]
    return _draw(blocks, lines)


def refused_picture(volume: Volume, refusal: StudyRefused) -> bytes:
    """PNG of a study that was refused: up to 36 slices as they lay in the scanner, with the reason in large type."""
    chosen = np.unique(np.linspace(0, len(volume.hu) - 1, min(len(volume.hu), MOST_SLICES)).round().astype(int))
    hu = _shrunk(volume, chosen)
    names = [f"{number + 1}/{len(volume.hu)}" for number in chosen]
    middle = (np.array(volume.hu.shape) - 1) / 2
    heights = volume.to_ras(np.array([[number, middle[1], middle[2]] for number in chosen]))[:, 2]
    low, high = (float(value) for value in np.percentile(hu, (1, 99)))
    high = max(high, low + 1)
    brain = WINDOWS_HU[0]
    blocks = [
        Block(f"{name}   {a:.0f} to {b:.0f}", np.clip((hu - a) / (b - a), 0, 1), names, heights)
        for name, (a, b) in (("Nearly all values (1st to 99th percentile)", (low, high)), ("Brain window", brain))
    ]
    part = "All" if len(chosen) == len(volume.hu) else f"{len(chosen)} of"
    shown = f"{part} {len(volume.hu)} slices as they lay in the scanner; no model has seen them   [{refusal.code}]"
    return _draw(blocks, [Line("Refused", RED, TITLE_PX), Line(refusal.message, WHITE, TITLE_PX), Line(shown, GREY, TEXT_PX)])


def _facts(quality: Quality) -> list[str]:
    """What was measured and matters to a reader, a few short lines; what is not known is left out."""
    facts = quality.facts

    def say(pattern: str, *keys: str) -> str:
        values = [facts.get(key) for key in keys]
        return "" if None in values else pattern.format(*values)

    uneven = facts.get("slice_spacing_min_mm") != facts.get("slice_spacing_max_mm")
    lines = [
        [
            say("Gantry tilt {:.1f} degrees", "tilt_degrees"),
            say("{} slices {:.2f} mm apart", "slices", "slice_spacing_mm"),
            say("({:.2f} to {:.2f})", "slice_spacing_min_mm", "slice_spacing_max_mm") if uneven else "",
            say("scan covers {:.0f} mm", "coverage_mm"),
            say("pixels {:.2f} mm", "pixel_spacing_mm"),
        ],
        [
            say("Alignment by {}, confidence {:.2f} of 1", "alignment_method", "alignment_confidence"),
            say("brain in view {:.0f} mm", "brain_coverage_mm"),
            say("median {:.0f} HU", "brain_median_hu"),
            say("cavity {:.0f} ml", "cavity_ml"),
        ],
    ]
    return [",  ".join(part for part in line if part).replace(",  (", " (") for line in lines]


def head_box(hu: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the model grid that show anything, with a little room around them."""
    dense = (hu > BODY_HU).sum(axis=0) > 0
    dense = ndimage.binary_opening(dense, iterations=2)
    rows, columns = np.flatnonzero(dense.any(axis=1)), np.flatnonzero(dense.any(axis=0))
    if len(rows) == 0:
        return slice(0, hu.shape[1]), slice(0, hu.shape[2])
    return slice(max(rows[0] - 5, 0), rows[-1] + 6), slice(max(columns[0] - 5, 0), columns[-1] + 6)


def _shrunk(volume: Volume, chosen: np.ndarray) -> np.ndarray:
    """The chosen slices (n, H, W), square millimetres, at most LONGEST_PX long."""
    _, row, column = volume.spacing_mm
    height, width = volume.hu.shape[1] * row, volume.hu.shape[2] * column
    scale = LONGEST_PX / max(height, width)
    shape = max(round(height * scale), 8), max(round(width * scale), 8)
    factors = [target / source for target, source in zip(shape, volume.hu.shape[1:], strict=True)]
    blur = [max(1 / factor - 1, 0) / 2 for factor in factors]
    smooth = [ndimage.gaussian_filter(volume.hu[number], blur) if any(blur) else volume.hu[number] for number in chosen]
    return np.stack([ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True) for image in smooth])


def _draw(blocks: list[Block], lines: list[Line]) -> bytes:
    # A point is a pixel at 72 dpi, and figimage puts a voxel on exactly one: nothing is interpolated.
    import matplotlib
    from matplotlib import patheffects
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, height, width = blocks[0].grey.shape
    columns = -(-count // -(-count // MOST_COLUMNS))
    rows = -(-count // columns)
    total_width = max(columns * (width + GAP_PX) + 2 * MARGIN_PX, 1000)
    wrapped = [Line(part, line.colour, line.size) for line in lines for part in _wrapped(line, total_width - 2 * MARGIN_PX)]
    head = sum(_pitch(line) for line in wrapped) + 2 * MARGIN_PX
    block_height = STRIP_PX + rows * (height + GAP_PX)
    total_height = head + len(blocks) * block_height + STRIP_PX + MARGIN_PX

    figure = Figure(figsize=(total_width / 72, total_height / 72), dpi=72, facecolor="black")
    FigureCanvasAgg(figure)

    rim = [patheffects.withStroke(linewidth=3, foreground="black")]  # readable on bright tissue too

    def write(text: str, x: float, y: float, colour: str, size: float, **more: Any) -> None:
        place = x / total_width, 1 - y / total_height
        figure.text(*place, text, color=colour, fontsize=size, parse_math=False, path_effects=rim, **{"va": "top", **more})

    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        y = MARGIN_PX
        for line in wrapped:
            write(line.text, MARGIN_PX, y, line.colour, line.size)
            y += _pitch(line)
        top = head
        for block in blocks:
            write(block.title, MARGIN_PX, top + 12, WHITE, TEXT_PX, weight="bold")
            for number, image in enumerate(block.grey):
                row, column = divmod(number, columns)
                x, y = MARGIN_PX + column * (width + GAP_PX), top + STRIP_PX + row * (height + GAP_PX)
                figure.figimage(image, x, total_height - y - height, cmap="gray", vmin=0, vmax=1, origin="upper")
                write(block.names[number], x + 3, y + 2, WHITE, LABEL_PX)
                write(f"S {block.heights_mm[number]:.0f} mm".replace("-", "\u2212"), x + 3, y + height - 3, LIGHT, SMALL_PX, va="bottom")
                if column == 0:
                    _orientation(write, x, y, width, height)
            top += block_height
        view = "Patient's right on the left (R), anterior on top. S: height in the scanner."
        write(f"{NOTICE} {view}", MARGIN_PX, top + 14, WHITE, TEXT_PX)
        write(f"headct-molre {__version__}", total_width - MARGIN_PX, top + 14, GREY, TEXT_PX, ha="right")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=72, facecolor="black", metadata={"Software": f"headct-molre {__version__}"})
    return buffer.getvalue()


def _orientation(write: Callable[..., None], x: float, y: float, width: int, height: int) -> None:
    write("R", x + 3, y + height / 2, AMBER, LABEL_PX, va="center")
    write("L", x + width - 3, y + height / 2, AMBER, LABEL_PX, va="center", ha="right")
    write("A", x + width / 2, y + 2, AMBER, LABEL_PX, ha="center")
    write("P", x + width / 2, y + height - 3, AMBER, LABEL_PX, va="bottom", ha="center")


def _wrapped(line: Line, width: int) -> list[str]:
    return textwrap.wrap(line.text, int(width / (0.55 * line.size))) or [""]


def _pitch(line: Line) -> int:
    return round(line.size * 1.45)
