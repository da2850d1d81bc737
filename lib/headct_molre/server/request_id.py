"""The id of the request that is being worked on, for its answer, its errors and every line that it writes to the log.

It follows the request through `await` and through threads that are started with a copy of the context (`contextvars.copy_context`).
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

# Of UUIDs and trace ids, and of no name: a client must not be able to bring a patient's into the log.
_WELL_FORMED = re.compile(r"[0-9A-Fa-f-]{16,64}")


def request_id_from(header: str | None) -> str:
    """The id that a client or proxy gave, where it is well formed (16 to 64 hexadecimal digits and hyphens), else a new one."""
    return header if header is not None and _WELL_FORMED.fullmatch(header) else secrets.token_hex(8)
