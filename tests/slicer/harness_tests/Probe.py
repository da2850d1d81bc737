"""A small scripted module in the form of Slicer's template, for the tests of the loader."""

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin


class Probe(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Probe")
        self.parent.categories = ["Testing"]


class ProbeWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.said = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/Probe.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = ProbeLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.on_close)
        self.ui.applyButton.clicked.connect(self.on_apply)

    def on_close(self, *_):
        self.said.append("scene closed")

    def on_apply(self, *_):
        node = self.ui.inputSelector.currentNode()
        self.said.append(node.GetName() if node else "nothing")
        slicer.util.showStatusMessage("applied")

    def enter(self):
        self.said.append("enter")

    def exit(self):
        self.said.append("exit")

    def cleanup(self):
        self.removeObservers()
        self.said.append("cleanup")


class ProbeLogic(ScriptedLoadableModuleLogic):
    pass
