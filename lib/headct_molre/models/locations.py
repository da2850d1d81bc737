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


def backbone_file(backbone: str) -> Path:
    """The frozen weights of a backbone; the path where the user should put them, if they are nowhere."""
    own = home() / "backbones" / f"{backbone}.safetensors"
    shipped = SHIPPED / backbone / "backbone.safetensors"
    return shipped if shipped.is_file() and not own.is_file() else own
