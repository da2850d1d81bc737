"""All panels of the module in their sections of the .ui file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ..app.connection import ConnectionState
from ..app.controller import Controller
from .connection_panel import ConnectionPanel
from .findings_panel import FindingsPanel
from .retrain_panel import RetrainPanel
from .router_map import RouterMap
from .study_panel import StudyPanel
from .submit_panel import SubmitPanel
from .view_options import ViewOptions
from .window_presets import WindowPresets


class Panels:
    """`ui` is the name space of slicer.util.childWidgetVariables."""

    def __init__(self, ui: Any, controller: Controller, read_volume: Callable[[], None]) -> None:
        self._ui = ui
        self.connection = ConnectionPanel(controller.connection)
        self.study = StudyPanel(controller.reading, ui.volumeSelector, read_volume)
        self.presets = WindowPresets(controller.preferences["window"])
        self.findings = FindingsPanel()
        self.findings.setMinimumSize(qt.QSize(420, 420))
        self.findings.bar.status.hide()  # the submit panel says the same, and a module panel is narrow
        self.options = ViewOptions(controller.preferences)
        self.map = RouterMap()
        self.submit = SubmitPanel(controller.correcting)
        self.retrain = RetrainPanel(controller.learning)
        for layout, widgets in (
            (ui.noticeLayout, (self.connection.status_line,)),
            (ui.connectionLayout, (self.connection.widget,)),
            (ui.studyLayout, (self.study.widget, self.presets.widget)),
            (ui.findingsLayout, (self.findings,)),
            (ui.routerLayout, (self.map, self.options.widget)),
            (ui.submitLayout, (self.submit.widget,)),
            (ui.retrainLayout, (self.retrain.widget,)),
        ):
            for widget in widgets:
                layout.addWidget(widget)
        self._phase = controller.connection.state.phase
        controller.connection.changed.connect(self._fold)

    def _fold(self, state: ConnectionState) -> None:
        """The server's section closes once it answers, and opens where there is something to be done."""
        if state.phase != self._phase and state.phase in ("connected", "failed"):
            self._ui.connectionSection.collapsed = state.phase == "connected"
        self._phase = state.phase
