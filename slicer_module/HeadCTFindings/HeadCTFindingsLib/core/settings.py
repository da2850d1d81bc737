"""What the module remembers of a person on this computer, with defaults; the user interface keeps it in QSettings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .presets import DEFAULT, PRESETS

PREFIX = "HeadCTFindings"


@dataclass(frozen=True)
class Setting:
    """One setting: its default gives its type; `allowed` its values where there are few; a `secret` one is never shown or logged."""

    name: str
    default: Any
    allowed: tuple[Any, ...] = ()
    secret: bool = False

    @property
    def key(self) -> str:
        """Its name in QSettings."""
        return f"{PREFIX}/{self.name}"

    def parse(self, value: Any) -> Any:
        """A stored value in the type of the default; the default where it cannot be. QSettings gives texts for everything."""
        if value is None:
            return self.default
        try:
            parsed = _bool(value) if isinstance(self.default, bool) else type(self.default)(value)
        except (TypeError, ValueError):
            return self.default
        return parsed if not self.allowed or parsed in self.allowed else self.default


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("server", "http://127.0.0.1:8000"),
        Setting("token", "", secret=True),
        Setting("certificate", ""),  # file of a private certificate authority
        Setting("reader", ""),
        Setting("model", ""),
        Setting("strategy", "random"),
        Setting("group_by", "category", ("category", "acuity")),
        Setting("window", DEFAULT.key, tuple(each.key for each in PRESETS)),
        Setting("follow_finding_window", False),
        Setting("overlay", True),
        Setting("heat_map", False),
        Setting("router_map", True),
        Setting("reformat_to_model", False),
        Setting("consents", "{}"),  # consent.Consents as JSON
        Setting("training_mode", "quick", ("quick", "full")),
    )
}


def read(name: str, get: Callable[[str], Any]) -> Any:
    """A setting from `get(key)`, which gives None where nothing is stored. Raises KeyError for a name that is not one."""
    setting = SETTINGS[name]
    return setting.parse(get(setting.key))


def write(name: str, value: Any, put: Callable[[str, Any], None]) -> None:
    """Stores a setting by `put(key, value)`. Raises KeyError, and ValueError for a value that would not come back."""
    setting = SETTINGS[name]
    if setting.parse(value) != value:
        raise ValueError(f"{name} cannot be {value!r}")
    put(setting.key, value)


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0"):
            raise ValueError(value)
        return value.lower() in ("true", "1")
    return bool(value)
