"""Short names for studies and readers in logs, which must not carry their ids.

An id is often a patient's or an accession number, and a plain hash of it is found again by hashing all numbers there are. Here a
random key stands between; whoever may read the key's file can still find the lines about an id.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_KEY_BYTES = 32
_key = secrets.token_bytes(_KEY_BYTES)  # until `keep_key`: the names of this process only


def pseudonym(text: str) -> str:
    """Twelve hexadecimal digits, the same for the same text as long as the key is the same."""
    return hmac.new(_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]


def keep_key(file: Path) -> None:
    """Takes the key from a file that only its owner can read, so that names stay the same over restarts; makes it where there is none.

    Raises OSError.
    """
    global _key
    _key = _read(file) or _make(file)


def _read(file: Path) -> bytes | None:
    try:
        key = file.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == _KEY_BYTES else None


def _make(file: Path) -> bytes:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(secrets.token_bytes(_KEY_BYTES))
        if file.exists() and _read(file) is None:  # cut short when a disk was full
            os.replace(part, file)
        else:
            try:
                os.link(part, file)  # unlike a rename it never replaces the key of a process that was faster
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
    return file.read_bytes()
