"""Which version is champion and which is candidate: one small file, replaced whole, changed by one process at a time."""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import ModelUnavailable
from ..output import flush, replacing

ALIASES, LOCK = "aliases.json", ".lock"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOCK_WAIT_S = 10.0


@dataclass(frozen=True)
class Aliases:
    """Names of versions, or None where there is none."""

    champion: str | None = None
    candidate: str | None = None


def read_aliases(folder: Path) -> Aliases:
    """The aliases of a model's folder, none where it has no such file. Raises ModelUnavailable for a damaged one."""
    path = folder / ALIASES
    try:
        content = json.loads(path.read_bytes())
        named = (content["champion"], content.get("candidate"))
    except FileNotFoundError:
        return Aliases()
    except (ValueError, TypeError, KeyError, AttributeError):
        named = (0, 0)
    if not all(value is None or (isinstance(value, str) and VERSION.fullmatch(value)) for value in named):
        raise ModelUnavailable("damaged_model", f"{path} is not {{champion, candidate}} with names of versions. Restore it.")
    return Aliases(*named)


def write_aliases(folder: Path, aliases: Aliases) -> None:
    """Replace the aliases, whole or not at all, also where the power fails; the caller holds `locked`."""
    with replacing(folder / ALIASES) as partial:
        partial.write_text(json.dumps(asdict(aliases), indent=2) + "\n", encoding="utf-8")
        flush(partial)


def set_alias(folder: Path, alias: str, version: str | None) -> None:
    """Point an alias, "champion" or "candidate", at a version or at none."""
    with locked(folder):
        write_aliases(folder, replace(read_aliases(folder), **{alias: version}))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a model's folder alone, among processes and threads; a process that dies lets go.

    Raises ModelUnavailable where another holds it for longer than `LOCK_WAIT_S`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + LOCK_WAIT_S
    with (folder / LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    message = f"Another process is changing the versions in {folder}. Try again when it has ended."
                    raise ModelUnavailable("versions_busy", message) from None
                time.sleep(0.01)
        yield
