"""Windows as radiologists name them, each on a key."""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import Catalogue


@dataclass(frozen=True)
class WindowPreset:
    """A window: `width` and `level` (its centre) in HU; `shortcut` is its key inside the panel and the slice views."""

    key: str
    name: str
    level: float
    width: float
    shortcut: str

    @property
    def tooltip(self) -> str:
        """Level, width and key."""
        return f"{self.name}: level {self.level:g} HU, width {self.width:g} HU (key {self.shortcut})"


# The windows that the models look through, and the previews of the library show.
PRESETS = (
    WindowPreset("brain", "Brain", 40, 80, "B"),
    WindowPreset("subdural", "Subdural", 80, 200, "D"),
    WindowPreset("stroke", "Stroke", 40, 40, "K"),
    WindowPreset("bone", "Bone", 600, 2800, "O"),
    WindowPreset("soft_tissue", "Soft tissue", 50, 400, "T"),
)
DEFAULT = PRESETS[0]


def preset(key: str) -> WindowPreset:
    """The preset of this key, the brain window for one that is not known: a setting may be older than the module."""
    return next((each for each in PRESETS if each.key == key), DEFAULT)


def preset_for(catalogue: Catalogue, finding: str) -> WindowPreset:
    """The window in which a finding is looked for first."""
    windows = catalogue[finding].windows if finding in catalogue else ()
    return preset(windows[0]) if windows else DEFAULT
