"""Own stand-ins for `slicer.ScriptedLoadableModule` and `slicer.i18n`: what the module file imports from them."""

from __future__ import annotations

import logging
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer

from .qt_module import install as install_qt

qt = install_qt()


class ScriptedLoadableModule:
    """Describes a module on the C++ side `parent`."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = ""
        parent.categories = ()
        parent.dependencies = ()
        parent.contributors = ("Anon",)
        parent.helpText = ""
        parent.acknowledgementText = ""

    def getDefaultModuleDocumentationLink(self, *_: Any, **__: Any) -> str:
        return ""

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)


class ScriptedLoadableModuleWidget:
    """The panel. Works only as Slicer makes it: constructed with its parent, `setup()` afterwards, then `enter()`."""

    def __init__(self, parent: Any = None) -> None:
        if parent is None:
            raise TypeError("Slicer's loader always passes the parent widget")
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        self.parent = parent
        self.layout = parent.layout()
        self.reloadCollapsibleButton = None

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def enter(self) -> None:
        pass

    def exit(self) -> None:
        pass


class ScriptedLoadableModuleLogic:
    """Logic with one parameter node per module in the scene."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        tag = self.moduleName
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLScriptedModuleNode")
        return node if node is not None else slicer.mrmlScene.AddNode(self.createParameterNode())

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's self test."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(args or ("runTest",)))
        self.messageDelay = 0

    def delayDisplay(self, message: str, *_: Any, **__: Any) -> None:
        logging.info(message)
        slicer.app.processEvents()

    def runTest(self) -> None:
        pass


def tr(text: str) -> str:
    """The source text: the harness has no translations."""
    return text


def translate(context: str, text: str) -> str:
    """The source text, whatever the context."""
    return text


def modules() -> dict[str, ModuleType]:
    """The two modules, by their full names."""
    scripted, i18n = ModuleType("slicer.ScriptedLoadableModule"), ModuleType("slicer.i18n")
    names = (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest)
    for cls in names:
        setattr(scripted, cls.__name__, cls)
    scripted.__all__ = [cls.__name__ for cls in names]  # type: ignore[attr-defined]
    i18n.tr, i18n.translate = tr, translate  # type: ignore[attr-defined]
    return {scripted.__name__: scripted, i18n.__name__: i18n}
