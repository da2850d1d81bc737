"""Nothing leaves the computer before a person has agreed to it, once for each server."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from .connection import Address


class Consents:
    """Which servers may get volumes from here, as JSON for the settings: {address: {reader, at}}."""

    def __init__(self, text: str = "{}") -> None:
        try:
            given = json.loads(text)
        except ValueError:
            given = {}
        self._given: dict[str, dict[str, str]] = given if isinstance(given, dict) else {}

    def needed(self, address: Address) -> bool:
        """Whether to ask before the first upload; a server on this computer is asked for like any other."""
        return address.base not in self._given

    def give(self, address: Address, reader: str) -> None:
        """Notes who agreed, and when."""
        self._given[address.base] = {"reader": reader, "at": datetime.now(UTC).isoformat(timespec="seconds")}

    def withdraw(self, address: Address) -> None:
        """To be asked again."""
        self._given.pop(address.base, None)

    def to_text(self) -> str:
        """As the settings keep it."""
        return json.dumps(self._given, sort_keys=True)


def question(address: Address, what: str) -> str:
    """What to ask: what goes where, under whose rules, and that nothing else does."""
    where = "a server on this computer" if address.local else f"the server {address.base}"
    tls = "" if address.secure or address.local else " The connection is not encrypted: others on the network could read it."
    return (
        f"{what} will be sent to {where}, with what its file holds, which may name the patient. Who runs that server decides how long "
        f"it is kept.{tls} Your calls, comments and reader name go there when you submit. Nothing else is sent, and nothing to anybody "
        "else. Agree for this server?"
    )
