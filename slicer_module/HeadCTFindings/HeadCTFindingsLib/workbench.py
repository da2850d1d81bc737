"""The panels, the scene and the controller, tied together: what a click means in the slice view, and the other way round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from .app.controller import Controller
from .app.preferences import Preferences
from .app.reading import Refusal
from .app.volume_file import VolumeData
from .core import router_map
from .core.errors import NotReadable
from .core.prediction import PredictionView
from .core.presets import WindowPreset, preset_for
from .heat_map_link import HeatMapLink
from .scene import reformat, views, volumes
from .scene.layout import MapLayout
from .scene.overlay import Overlay
from .scene.scene_state import SceneState
from .scene.slice_link import SliceLink
from .ui.panels import Panels
from .ui.pump import Pump
from .ui.router_map import RouterMap


class Workbench:
    """Made by the module's widget in `setup`; `enter`, `exit` and `cleanup` are Slicer's."""

    def __init__(self, ui: Any, logic: Any) -> None:
        """`ui` holds the widgets of the .ui file by name, `logic` gives the parameter node."""
        self.ui, self._logic = ui, logic
        self._settings = qt.QSettings()  # kept: in PythonQt a bound method does not keep its object
        self.preferences = Preferences(self._settings.value, self._settings.setValue)
        self.controller = Controller(self.preferences, Path(self._settings.fileName()).parent / "HeadCTFindings")
        self.pump = Pump(self.controller)
        self.panels = Panels(ui, self.controller, self.read_volume)
        self.map = RouterMap(True)
        self.layout = MapLayout(self.map)
        self.overlay = Overlay()
        self.heatmap = HeatMapLink(self.controller.heat_maps, self.panels.options)
        self.link = SliceLink(self._slice_moved)
        self._node: Any | None = None
        self._before: PredictionView | None = None
        for section in (ui.studySection, ui.findingsSection, ui.submitSection):
            self.panels.presets.listen(section)
        self._connect()

    @property
    def view(self) -> PredictionView | None:
        """The prediction on the screen."""
        return self.controller.reading.state.prediction

    @property
    def volume(self) -> Any | None:
        """The volume node of the open study, None where it is not in the scene."""
        return self._node

    def enter(self) -> None:
        """The module comes to the front: one look at the server of last time, and nobody has to click."""
        self.link.start()
        if self.preferences["router_map"] and self.view is not None:
            self.layout.show()
        self.panels.presets.listen_views(views.slice_view())
        self.controller.start()
        self.pump.start()
        self.pump.wake()
        self._show_overlay(self.link.index)

    def exit(self) -> None:
        """The module is left: nothing of it stays in the views, and what was under way is cancelled."""
        self.controller.leave()
        self.pump.rest()
        self.link.stop()
        self.overlay.remove()
        self.panels.presets.forget_views()
        self.layout.restore()

    def cleanup(self) -> None:
        """The module is taken down: timers, threads, observers and actors go."""
        self.pump.stop()
        self.link.stop()
        self.overlay.remove()
        self.panels.presets.forget_views()
        self.layout.remove()
        self.controller.stop()

    def scene_closes(self) -> None:
        """The scene is about to close: the study is given back; its calls are on the disk."""
        self._node = None
        self.heatmap.layer.forget()
        self.controller.reading.close(release=True)

    def scene_opened(self) -> None:
        """A scene was opened: the study that it was saved with is opened again."""
        state = self._scene_state()
        study = state.open_study
        if study and study != self.controller.reading.state.study and self.controller.reading.state.connected:
            self._node = state.volume(study)
            self.controller.reading.open_study(study, fetch=self._node is None)

    def read_volume(self) -> None:
        """Has the volume that is chosen in the panel read."""
        node = self.ui.volumeSelector.currentNode()
        try:
            volume = volumes.volume_of(node)
        except NotReadable as error:
            self.controller.reading.refuse(Refusal(str(error), False))
            return
        self.controller.reading.open_volume(volume, node.GetID())

    def _connect(self) -> None:
        app, panels = self.controller, self.panels
        for changed in (app.connection.changed, app.reading.changed, app.correcting.changed, app.learning.changed):
            changed.connect(self.pump.wake)
        app.connection.connected.connect(self._connected)
        app.reading.opened.connect(self._opened)
        app.reading.images.connect(self._images)
        app.reading.sent.connect(self._sent)
        app.reading.predicted.connect(self._predicted)
        app.correcting.replaced.connect(self._calls_replaced)
        app.correcting.changed.connect(self._calls_changed)
        app.correcting.kept.connect(self._keep)
        app.learning.compared.connect(self._compared)
        panels.findings.selected.connect(self._finding_selected)
        panels.presets.chosen.connect(self._window_chosen)
        panels.options.changed.connect(self._option_changed)
        for each in (self.map, panels.map):
            each.slice_chosen.connect(self._slice_chosen)

    def _connected(self) -> None:
        catalogue = self.controller.connection.catalogue
        if catalogue is None or self.panels.findings.catalogue is not None:
            return
        self.panels.findings.set_catalogue(catalogue)
        self.panels.submit.set_catalogue(catalogue)
        self.panels.retrain.catalogue = catalogue
        for each in (self.map, self.panels.map):
            each.catalogue = catalogue
        self.scene_opened()

    def _opened(self, study: str) -> None:
        """Another study: what was shown of the one before goes at once, so that nothing of it is taken for the new one's."""
        self._before = None
        self.overlay.remove()
        self.heatmap.remove()
        self.link.show(None)
        for each in (self.map, self.panels.map):
            each.show_prediction(None)
        if self._node is not None and self._scene_state().volume(study) is not self._node:
            self._node = None
            volumes.show(None)
        try:
            kept = self._scene_state().calls(study)
            if kept is not None:
                self.controller.correcting.restore(study, kept)
        except NotReadable as error:
            self.panels.options.advise(str(error))

    def _images(self, study: str, volume: VolumeData) -> None:
        node = volumes.put_into_scene(volume, study, self.panels.presets.current)
        self._show_node(study, node)

    def _sent(self, study: str, node_id: str) -> None:
        node = slicer.mrmlScene.GetNodeByID(node_id)
        if node is not None:
            self._show_node(study, node)

    def _show_node(self, study: str, node: Any) -> None:
        self._node = node
        volumes.apply_window(node, self.panels.presets.current)
        volumes.show(node)
        self._scene_state().keep_volume(study, node.GetID())
        self._place_view()

    def _predicted(self, view: PredictionView) -> None:
        for each in (self.map, self.panels.map):
            each.show_prediction(view)
        self.panels.findings.show_study(self.controller.correcting.calls, view, self._before)
        if self.preferences["router_map"]:
            self.layout.show()
        self.link.show(view.frame)
        self._place_view()

    def _compared(self, before: PredictionView, _after: PredictionView) -> None:
        """Another version is served: its prediction, which is shown next, is marked against this one."""
        self._before = before

    def _calls_replaced(self) -> None:
        self.panels.findings.show_study(self.controller.correcting.calls, self.view, self._before)

    def _calls_changed(self, *_arguments: Any) -> None:
        self.panels.findings.refresh()

    def _keep(self, study: str, document: dict[str, Any]) -> None:
        self._scene_state().save(study, document)

    def _scene_state(self) -> SceneState:
        return SceneState(self._logic.getParameterNode())

    def _finding_selected(self, key: str) -> None:
        """The slice that speaks most for a finding, where there is one, and the window in which it is looked for."""
        for each in (self.map, self.panels.map):
            each.show_finding(key)
        catalogue, view = self.controller.connection.catalogue, self.view
        self.heatmap.select(key)
        self.controller.correcting.stopwatch.touch()
        if catalogue is not None and self.preferences["follow_finding_window"]:
            self.panels.presets.choose(preset_for(catalogue, key))
        best = view.best_slice(key) if view is not None else None
        if best is not None:
            self.link.jump(best)

    def _slice_chosen(self, index: int) -> None:
        self.controller.correcting.stopwatch.touch()
        self.link.jump(index)

    def _slice_moved(self, index: int | None) -> None:
        for each in (self.map, self.panels.map):
            each.move_cursor(None if index is None else float(index))
        self._show_overlay(index)

    def _show_overlay(self, index: int | None) -> None:
        view = self.view
        if view is None or not self.preferences["overlay"] or not self.pump.ticking:
            self.overlay.remove()
            return
        self.overlay.show(router_map.overlay_text(view, index, self.controller.connection.catalogue), view.attention, index)
        self.panels.options.advise(reformat.advice(view.frame))

    def _place_view(self) -> None:
        """The view on the model's planes where that is wanted, and at the slice of most attention when a study comes."""
        view = self.view
        if view is None or self._node is None or not view.slices:
            return
        index = int(view.attention.argmax())
        if self.preferences["reformat_to_model"]:
            reformat.to_model(view.frame, index)
        self.link.jump(index)

    def _window_chosen(self, preset: WindowPreset) -> None:
        self.preferences["window"] = preset.key
        volumes.apply_window(self._node if self._node is not None else volumes.background(), preset)

    def _option_changed(self, name: str, on: bool) -> None:
        if name == "router_map":
            self.layout.show() if on else self.layout.restore()
        elif name == "overlay":
            self._show_overlay(self.link.index)
        elif name == "reformat_to_model" and self.view is not None:
            index = self.link.index
            if on:
                reformat.to_model(self.view.frame, index if index is not None else int(self.view.attention.argmax()))
            else:
                reformat.to_axial()
