"""Where model versions and backbone weights lie: the user's folder first, then what the package ships."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

SHIPPED = Path(str(files("headct_molre"))) / "released"


def home() -> Path:
    """The user's folder for models: HEADCT_MOLRE_HOME, else ~/.local/share/headct-molre."""
    configured = os.environ.get("HEADCT_MOLRE_HOME")
    return Path(configured) if configured else Path.home() / ".local" / "share" / "headct-molre"


def model_folders(model: str) -> list[Path]:
    """Folders that may hold versions of a model, in the order in which they are searched."""
    return [folder for folder in (home() / "models" / model, SHIPPED / model) if folder.is_dir()]


def backbone_path(backbone: str) -> Path:
    """The frozen weights of a backbone: a file, or a folder of files; where the user should put them, if they are nowhere."""
    file = home() / "backbones" / f"{backbone}.safetensors"
    candidates = (file, file.with_suffix(""), SHIPPED / backbone / "backbone.safetensors")
    return next((path for path in candidates if path.exists()), file)
