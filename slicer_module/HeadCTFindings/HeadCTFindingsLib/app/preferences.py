"""What the module remembers of this person between sessions."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

from ..core import settings
from ..core.connection import Address
from ..core.consent import Consents


class Preferences:
    """The settings of core.settings over any store: `get(key)` gives a value or None, `put(key, value)` keeps one."""

    def __init__(self, get: Callable[[str], Any], put: Callable[[str, Any], None]) -> None:
        self._get, self._put = get, put

    def __getitem__(self, name: str) -> Any:
        return settings.read(name, self._get)

    def __setitem__(self, name: str, value: Any) -> None:
        settings.write(name, value, self._put)

    @property
    def reader(self) -> str:
        """The reader's name; that of the computer's user until another one is given, so that nobody has to type one."""
        return self["reader"] or _user()

    def consented(self, address: Address) -> bool:
        """Whether volumes may go to this server."""
        return not Consents(self["consents"]).needed(address)

    def consent(self, address: Address) -> None:
        """Notes that they may."""
        consents = Consents(self["consents"])
        consents.give(address, self.reader)
        self["consents"] = consents.to_text()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without an entry, as in some containers
        return "reader"
