"""Where the model looked for a finding, as a translucent layer: of the server, or a file of `predict --heatmap`. Off unless asked for."""

from __future__ import annotations

from typing import Any

import slicer

from ..app.volume_file import VolumeData
from ..core.presets import WindowPreset
from . import volumes

NAME = "Where the model looked"
OPACITY = 0.4
_WINDOW = WindowPreset("map", "Map", 0.5, 1.0, "")
_LEAST = 0.05  # of the map's maximum; all below is clear, so that the scan is seen


class HeatmapLayer:
    """`show(path)` and `show_values(volume)` lay a map over the scan in the slice views; `remove()` takes it away, file and all."""

    def __init__(self) -> None:
        self._node: Any | None = None

    @property
    def shown(self) -> bool:
        """Whether there is a layer."""
        return self._node is not None

    def show(self, path: str) -> None:
        """Raises RuntimeError where the file cannot be loaded."""
        self._lay(slicer.util.loadVolume(path, {"name": NAME, "show": False}))

    def show_values(self, volume: VolumeData) -> None:
        """The same for a map in memory, which costs the main thread a few milliseconds."""
        self._lay(volumes.put_into_scene(volume, NAME, _WINDOW))

    def _lay(self, node: Any) -> None:
        self.remove()
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(_WINDOW.width, _WINDOW.level)
        display.SetThreshold(_LEAST, 1.0)
        display.SetApplyThreshold(True)
        colours = slicer.mrmlScene.GetFirstNodeByName("Inferno") or slicer.mrmlScene.GetFirstNodeByName("Warm1")
        if colours is not None:
            display.SetAndObserveColorNodeID(colours.GetID())
        slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=OPACITY)
        self._node = node

    def remove(self) -> None:
        """Takes the layer out of the views and the scene."""
        if self._node is not None:
            slicer.util.setSliceViewerLayers(foreground=None)
            slicer.mrmlScene.RemoveNode(self._node)
            self._node = None

    def forget(self) -> None:
        """The scene has taken it away."""
        self._node = None
