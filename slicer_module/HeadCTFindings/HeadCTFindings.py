"""Head CT Findings: 75 findings of a head CT beside the scan, corrected and retrained from here. The work is in HeadCTFindingsLib."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class HeadCTFindings(ScriptedLoadableModule):
    """What Slicer lists of the module."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Head CT Findings")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Informatics")]
        parent.dependencies = []
        parent.contributors = ["The Head CT MoLRE authors"]
        parent.helpText = _(
            "Shows what a Head CT MoLRE server says of 75 findings on a non-contrast head CT and where it looked, takes corrections, and "
            "retrains. Research use, not a device: a finding that is not detected is not ruled out."
        )
        parent.acknowledgementText = _("After Mixture of Low-Rank Experts, arXiv 2603.00675.")


class HeadCTFindingsWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel; the workbench does what is behind it."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: HeadCTFindingsLogic | None = None
        self.workbench: Any = None

    def setup(self) -> None:
        """Builds the panel; the server is asked for only when the module comes to the front."""
        ScriptedLoadableModuleWidget.setup(self)
        from HeadCTFindingsLib.workbench import Workbench

        panel = slicer.util.loadUI(self.resourcePath("UI/HeadCTFindings.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = HeadCTFindingsLogic()
        self.workbench = Workbench(self.ui, self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)

    def enter(self) -> None:
        """The module was chosen."""
        self.workbench.enter()

    def exit(self) -> None:
        """Another module was chosen."""
        self.workbench.exit()

    def cleanup(self) -> None:
        """Slicer closes, or the module is reloaded."""
        self.removeObservers()
        if self.workbench is not None:
            self.workbench.cleanup()
            self.workbench = None

    def onSceneStartClose(self, _caller: Any, _event: Any) -> None:
        """The scene is about to go."""
        self.workbench.scene_closes()

    def onSceneEndImport(self, _caller: Any, _event: Any) -> None:
        """A scene was loaded."""
        self.workbench.scene_opened()


class HeadCTFindingsLogic(ScriptedLoadableModuleLogic):
    """Gives the parameter node, in which the scene keeps the calls; there is nothing to compute here."""


class HeadCTFindingsTest(ScriptedLoadableModuleTest):
    """The self test: a short walk with the server of the environment variable HEADCT_SERVER, or without one, the panel alone."""

    def setUp(self) -> None:
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """As Slicer's self test runs it."""
        self.setUp()
        from HeadCTFindingsLib.self_test import walk

        walk(self)
