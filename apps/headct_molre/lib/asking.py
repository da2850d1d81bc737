"""Who asks, and by which id the request is known: what the middlewares wrote into the request."""

import re
import uuid
from typing import Any

from starlette.requests import Request

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def request_id(request: Request) -> str:
    """The id by which this request is found in the queue: that of the middleware, else the client's X-Request-ID, else a new one."""
    given = getattr(request.state, "request_id", None) or request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def reader(request: Request) -> str:
    """Whose turn it is in the queue: the reader's, or without authentication the machine's."""
    principal = _principal(request)
    if principal is not None:
        return str(principal.reader)
    return request.client.host if request.client else ""


def may_touch_all(request: Request) -> bool:
    """Whether the work of other readers may be cancelled: by trainers and admins, and by everybody without authentication."""
    principal = _principal(request)
    return principal is None or principal.role != "reader"


def _principal(request: Request) -> Any:
    return getattr(request.state, "principal", None)
