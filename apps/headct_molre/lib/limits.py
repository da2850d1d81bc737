"""What one request may take: bytes, time to send them, and a place among those that are worked on.

Bytes are counted as they come, so that a body without a length is cut too, and before they fill a disk. A sender that is too slow is
cut off; until its body is complete it holds no thread.
"""

import asyncio
import shutil
import time
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headct_molre.errors import HeadCTError
from headct_molre.server.config import ServerConfig
from lib.errors import error_response

MB = 1_000_000
BODY_BYTES = MB  # of every request that is no upload; a submission with every finding and the longest comment has 20 kB
GRACE_S = 30.0
BYTES_PER_S = 10_000  # slower than that, after the grace, is no network but an attack
_ALWAYS = ("/headct/health", "/headct/metrics")  # answered when the server is busy, since then they are asked for

# The last path is the one that MONAI Label's own client uses.
_UPLOADS = (("PUT", "/session/"), ("PUT", "/datastore/image"), ("PUT", "/datastore/"))


class Limits:
    """Refuses with 413 `body_too_large`, 408 `slow_body`, 507 `disk_full` and 503 `too_busy`."""

    def __init__(self, app: ASGIApp, config: ServerConfig, grace_s: float = GRACE_S) -> None:
        self._app = app
        self._config = config
        self._grace_s = grace_s
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        try:
            body = _Body(scope, receive, self._most_bytes(scope), self._grace_s)
            if self._working >= self._config.concurrent_requests:
                raise HeadCTError("too_busy", "The server works on as many requests as it may; send this one again.", status=503)
        except HeadCTError as error:
            await error_response(error)(scope, receive, send)
            return
        self._working += 1
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._working -= 1

    def _most_bytes(self, scope: Scope) -> int:
        if not is_upload(scope["method"], scope["path"]):
            return BODY_BYTES
        check_space(self._config.studies, _announced(scope), self._config.free_disk_mb * MB)
        return self._config.upload_mb * MB


def is_upload(method: str, path: str) -> bool:
    """Whether a request may bring the images of a study."""
    return (method, path) in _UPLOADS or (method == "POST" and path.startswith("/infer/"))


def check_space(folder: Path, coming: int, reserve: int) -> None:
    """Raises HeadCTError `disk_full` where an upload of `coming` bytes would leave less than `reserve` bytes."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # health says so; the request will find out what is wrong
    if coming and free - coming < reserve:
        message = "The server's disk has no room for this upload. Nothing was stored; free some space and send it again."
        raise HeadCTError("disk_full", message, status=507)


def _announced(scope: Scope) -> int:
    """The bytes that the request says it has; a body in chunks does not say, and counts as one byte. Raises HeadCTError."""
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return 1
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


class _Body:
    """The body of a request as it comes."""

    def __init__(self, scope: Scope, receive: Receive, most_bytes: int, grace_s: float) -> None:
        self._receive, self._most, self._grace_s = receive, most_bytes, grace_s
        self._bytes = 0
        self._waited_s = 0.0
        self._complete = False
        if _announced(scope) > most_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        if self._complete:  # what waits now, waits for the client to leave
            return await self._receive()
        started = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), self._grace_s)
        except TimeoutError:
            raise self._too_slow() from None
        self._waited_s += time.monotonic() - started
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._most:
            raise self._too_large()
        if not self._complete and self._waited_s > self._grace_s + self._bytes / BYTES_PER_S:
            raise self._too_slow()
        return message

    def _too_large(self) -> HeadCTError:
        return HeadCTError("body_too_large", f"The body of this request is limited to {self._most:,} bytes.", status=413)

    def _too_slow(self) -> HeadCTError:
        return HeadCTError("slow_body", "The body of the request came too slowly; send it again over a faster connection.", status=408)
