"""The id of the request that is being worked on, for its answer, its errors and every line that it writes to the log.

It follows the request through `await` and through threads that are started with a copy of the context (`contextvars.copy_context`).
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

# A UUID or a trace id fits; a patient's name or a number with a date in it is not likely to, and a line break cannot.
_WELL_FORMED = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,63}")


def request_id_from(header: str | None) -> str:
    """The id that a client or proxy gave, where it is well formed (8 to 64 letters, digits and hyphens), else a new one."""
    return header if header is not None and _WELL_FORMED.fullmatch(header) else secrets.token_hex(8)
