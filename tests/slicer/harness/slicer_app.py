"""`slicer.app`, the main window and the module manager, as far as the module and slicer.util use them."""

from __future__ import annotations

import tempfile
from typing import Any

import slicer

from .application import application
from .event_loop import process
from .io_manager import CoreIOManager
from .layout import qSlicerLayoutManager
from .qmrml import qSlicerScriptedLoadableModuleWidget
from .qt_module import install as install_qt
from .scene import Scene
from .strict import Strict

qt = install_qt()


class Modules:
    """`slicer.modules`: a module by its lower-case name; others raise, as in Slicer."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no module {name} is loaded")


class ModuleManager:
    """What `slicer.util.moduleNames`, `getModule` and `modulePath` ask."""

    def __init__(self) -> None:
        self._modules: dict[str, Any] = {}

    def add(self, module: Any) -> None:
        """Register a loaded module."""
        self._modules[module.objectName] = module
        setattr(slicer.modules, module.objectName.lower(), module)

    def factoryManager(self) -> ModuleManager:
        return self

    def loadedModuleNames(self) -> tuple[str, ...]:
        return tuple(self._modules)

    def module(self, name: str) -> Any:
        return self._modules.get(name)


class ModuleSelector:
    """Chooses the module whose panel is shown: calls `exit()` of the one before and `enter()` of the new one."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self.selectedModule = ""

    def selectModule(self, name: str) -> None:
        if name == self.selectedModule:
            return
        before = slicer.app.moduleManager().module(self.selectedModule)
        if before is not None and before.widgetRepresentation() is not None:
            before.widgetRepresentation().self().exit()
        self.selectedModule = name
        module = slicer.app.moduleManager().module(name)
        if module is not None and module.widgetRepresentation() is not None:
            self._window.showPanel(module.widgetRepresentation())
            module.widgetRepresentation().self().enter()


class MainWindow(Strict, qt.QMainWindow):
    """Module panel at the left, layout at the right, status bar below."""

    def __init__(self, layout_manager: Any) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("test harness")
        self._selector = ModuleSelector(self)
        self._panel = qt.QDockWidget("Module", self)
        self._panel.setObjectName("PanelDockWidget")
        self._area = qt.QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        self._panel.setWidget(self._area)
        self._panel.setMinimumWidth(480)
        self.addDockWidget(qt.Qt.LeftDockWidgetArea, self._panel)
        self.setCentralWidget(layout_manager.viewport())
        self.statusBar()
        self.resize(1400, 900)

    def moduleSelector(self) -> Any:
        return self._selector

    def showPanel(self, widget: Any) -> None:
        shown = self._area.widget()
        if shown is not widget:
            if shown is not None:
                self._area.takeWidget()
            self._area.setWidget(widget)
        widget.show()


class SlicerApplication:
    """`slicer.app`. Falls back to the QApplication's own names; unknown ones raise."""

    applicationName = "Test harness"
    applicationVersion = "5.13.0"
    majorVersion = 5
    minorVersion = 13
    revision = "0"
    os = "linux"

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._qt = application().qt_application
        self._modules = ModuleManager()
        self._layout = qSlicerLayoutManager(scene)
        self._io = CoreIOManager(scene)
        self._window: Any = None
        self._folder = tempfile.mkdtemp(prefix="headct-slicer-")
        self._testing = False

    def window(self) -> Any:
        """The main window, made at the first call (the harness's own name; the module uses slicer.util.mainWindow)."""
        if self._window is None:
            self._window = MainWindow(self._layout)
        return self._window

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._qt, name)

    def mrmlScene(self) -> Any:
        return self._scene.scene

    def applicationLogic(self) -> Any:
        return self._scene.logic

    def layoutManager(self) -> Any:
        return self._layout

    def moduleManager(self) -> Any:
        return self._modules

    def coreIOManager(self) -> Any:
        return self._io

    ioManager = coreIOManager

    def processEvents(self, *_: Any) -> None:
        process(0)

    def testingEnabled(self) -> bool:
        return self._testing

    def setTesting(self, on: bool) -> None:
        """Behave as `Slicer --testing` (the harness's own name): slicer.util then asks nothing."""
        self._testing = on

    def settings(self) -> Any:
        return qt.QSettings()

    userSettings = settings

    @property
    def temporaryPath(self) -> str:
        return self._folder

    @property
    def slicerHome(self) -> str:
        return self._folder

    def pauseRender(self) -> None:
        pass

    def resumeRender(self) -> None:
        pass

    def pythonConsole(self) -> None:
        return None

    def commandOptions(self) -> Any:
        raise AttributeError("the harness has no command line")


def new_parent() -> Any:
    """The parent widget that Slicer's loader gives a module's widget class."""
    parent = qSlicerScriptedLoadableModuleWidget()
    parent.setLayout(qt.QVBoxLayout())
    parent.setMRMLScene(slicer.mrmlScene)
    return parent
