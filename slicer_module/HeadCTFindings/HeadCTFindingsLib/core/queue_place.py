"""Where a request stands in the server's queue, in words, from the answer of `/headct/queue`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SOON_S = 1.5


def queue_place(devices: Sequence[dict[str, Any]], request_id: str) -> str:
    """ "3rd in the queue, about 20 s"; "running" once its turn has come; empty where the server does not know the request."""
    for device in devices:
        if any(entry.get("request_id") == request_id for entry in device.get("running") or ()):
            return "running"
        for entry in device.get("waiting") or ():
            if entry.get("request_id") == request_id:
                wait = entry.get("expected_wait_s")
                return f"{_ordinal(entry.get('position'))} in the queue" + ("" if wait is None else f", {_duration(float(wait))}")
    return ""


def _ordinal(position: Any) -> str:
    if not isinstance(position, int):
        return "waits"
    ending = "th" if position % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position}{ending}"


def _duration(seconds: float) -> str:
    if seconds < _SOON_S:
        return "about to start"
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"
