"""The heat map in the panel, at the server and in the slice views, tied together."""

from __future__ import annotations

from slicer.i18n import tr as _

from .app.heat_maps import HeatMaps, HeatMapState
from .app.volume_file import VolumeData
from .scene.heatmap_layer import HeatmapLayer
from .ui.view_options import ViewOptions


class HeatMapLink:
    """One layer at a time, of the server or of a file; `layer` is what is in the views."""

    def __init__(self, maps: HeatMaps, options: ViewOptions) -> None:
        self._maps, self._options = maps, options
        self.layer = HeatmapLayer()
        self.finding = ""  # that is selected in the table
        maps.ready.connect(self._ready)
        maps.taken_away.connect(self._gone)
        maps.changed.connect(self._changed)
        options.wanted_heatmap.connect(self._wanted)
        options.asked_heatmap.connect(self.show_file)

    def select(self, finding: str) -> None:
        """Another finding is looked at: a map of the one before would be taken for its own."""
        if finding != self.finding:
            self.finding = finding
            self._maps.take_away()

    def show_file(self, path: str) -> None:
        """A map from a file; without a path what is shown is taken away."""
        self.remove()
        if not path:
            return
        try:
            self.layer.show(path)
        except RuntimeError:
            self._options.show_heatmap(False, _("This file is no heat map that can be shown."))
            return
        self._options.show_heatmap(True, _("From a file. It shows where a model looked, not a lesion's outline."))

    def remove(self) -> None:
        """Nothing is asked for and nothing shown."""
        self._maps.take_away()
        self._gone()

    def _wanted(self, on: bool) -> None:
        self.remove()
        if on:
            self._maps.ask(self.finding)

    def _ready(self, volume: VolumeData) -> None:
        self.layer.show_values(volume)

    def _gone(self) -> None:
        self.layer.remove()
        self._options.show_heatmap(False, "")

    def _changed(self, state: HeatMapState) -> None:
        self._options.show_heatmap(bool(state.finding), state.text)
