"""Pictures of widgets, each stamped "test harness" so that none passes for a picture of Slicer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .event_loop import process
from .qt_module import install

qt = install()
STAMP = "test harness"


def grab(widget: Any) -> Any:
    """The widget as a QImage with a line below that says where the picture was made."""
    process(0)
    drawn = widget.grab().toImage()
    scale = drawn.devicePixelRatio()
    width, height = round(drawn.width() / scale), round(drawn.height() / scale)
    line = 18
    picture = qt.QImage(width, height + line, qt.QImage.Format.Format_RGB32)
    picture.fill(qt.QColor("#303030"))
    painter = qt.QPainter(picture)
    painter.drawImage(0, 0, drawn)
    painter.setPen(qt.QColor("#ffffff"))
    painter.drawText(qt.QRect(6, height, width - 12, line), int(qt.Qt.AlignmentFlag.AlignVCenter.value), STAMP)
    painter.end()
    return picture


def screenshot(widget: Any, path: Path | str) -> Path:
    """Write the stamped picture as PNG; returns the path. Raises AssertionError where it cannot be written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = grab(widget)
    picture.setText("Source", STAMP)
    if not picture.save(str(path)):
        raise AssertionError(f"{path} could not be written")
    return path
