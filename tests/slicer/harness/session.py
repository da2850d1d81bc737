"""The start of the harness: `slicer`, `ctk` and `qt` in sys.modules, and a scripted module loaded as Slicer loads it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .application import application

MODULE_FOLDER = Path(__file__).resolve().parents[3] / "slicer_module" / "HeadCTFindings"
_started: list[Any] = []


def start() -> Any:
    """Install the stand-ins, once; returns the `slicer` module with `app`, `mrmlScene`, `modules` and `util`."""
    if _started:
        return _started[0]
    application()
    import slicer
    import slicer.util

    from . import ctk_module, dialogs, qmrml, scene, scripted_module, ui_loader

    ctk_module.install()
    dialogs.install_answers()
    for cls in qmrml.CLASSES:
        setattr(slicer, cls.__name__, cls)
    for name, module in scripted_module.modules().items():
        sys.modules[name] = module
        setattr(slicer, name.removeprefix("slicer."), module)
    ui_loader.install_loader()
    from . import slicer_app

    real = scene.Scene()
    slicer.mrmlScene = real.scene
    slicer.modules = slicer_app.Modules()
    slicer.app = slicer_app.SlicerApplication(real)
    _started.append(slicer)
    return slicer


@dataclass
class LoadedModule:
    """A scripted module and its panel. `widget` is the Python class's instance, `panel` the Qt widget around it."""

    python: Any
    module: Any
    panel: Any
    widget: Any

    def close(self) -> None:
        """Leave the module and take it down, as Slicer does at its end."""
        selector = _started[0].app.window().moduleSelector()
        if selector.selectedModule == self.module.objectName:
            selector.selectModule("")
        self.widget.cleanup()
        self.panel.setParent(None)
        self.panel.deleteLater()


def load_module(path: Path | None = None, enter: bool = True) -> LoadedModule:
    """Load a module file as Slicer does: constructor, `Widget(parent)`, `setup()`, and `enter()` when it is chosen.

    Raises whatever the file raises. `path` is HeadCTFindings.py by default.
    """
    slicer = start()
    path = path or MODULE_FOLDER / "HeadCTFindings.py"
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    python = importlib.util.module_from_spec(spec)
    sys.modules[name] = python
    spec.loader.exec_module(python)
    from .qmrml import qSlicerScriptedLoadableModule
    from .slicer_app import new_parent

    module = qSlicerScriptedLoadableModule(name, str(path))
    slicer.app.moduleManager().add(module)
    module._python = getattr(python, name)(module)
    panel = new_parent()
    widget = getattr(python, f"{name}Widget")(panel)
    panel._python = widget
    module._widget = panel
    widget.setup()
    window = slicer.app.window()
    window.show()
    if enter:
        window.moduleSelector().selectModule(name)
    from .event_loop import process

    process(0.02)
    return LoadedModule(python, module, panel, widget)
