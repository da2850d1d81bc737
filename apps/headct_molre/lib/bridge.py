"""Runs an ASGI application in worker threads, each request in an event loop of its own.

MONAI Label's handlers are `async def` around blocking code: on the server's event loop, one slow handler stops all
others. Behind this bridge each blocks a thread of its own. A request takes its thread when its body is complete, so
that slow senders hold none; large bodies never come here, uploads have their own routes. Answers stream: each part
waits until the client has taken the one before.
"""

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headct_molre.errors import HeadCTError

# The keys of the ASGI specification. Others are notes of the outer application, which would mislead the inner one.
_SCOPE = {
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "root_path",
    "headers",
    "client",
    "server",
}
_WITHOUT_BODY = ("GET", "HEAD", "DELETE")


class ThreadBridge:
    """An ASGI application that forwards HTTP requests to `inner`; at most `threads` at a time, the others wait."""

    def __init__(self, inner: ASGIApp, threads: int = 8, max_body: int = 1_000_000) -> None:
        self._inner = inner
        self._max_body = max_body
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="monailabel")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP goes over the bridge, not {scope['type']}")
        outer = asyncio.get_running_loop()
        try:
            # MONAI Label's client, once logged in, sends the length of its last body with requests that have none.
            body = b"" if scope["method"] in _WITHOUT_BODY else await self._body(Request(scope, receive))
        except ClientDisconnect:
            return
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def cross(coroutine: Coroutine[Any, Any, Any]) -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, outer))

        async def inner_receive() -> Message:
            return unread.pop() if unread else await cross(receive())

        async def inner_send(message: Message) -> None:
            await cross(send(message))

        inner_scope = {key: scope[key] for key in _SCOPE & scope.keys()}
        running = _Running(self._inner, inner_scope, inner_receive, inner_send)
        try:
            # With the context, and so with the id of the request for its log lines and errors.
            await outer.run_in_executor(self._pool, contextvars.copy_context().run, running.run)
        except asyncio.CancelledError:
            running.cancel()
            raise
        finally:
            if "route" in inner_scope:
                scope.setdefault("state", {})["route"] = inner_scope["route"].path

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self._max_body:
                raise HeadCTError("body_too_large", f"The body of this request is limited to {self._max_body:,} bytes.", status=413)
        return bytes(body)

    def close(self) -> None:
        """Lets running requests end and takes no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Running:
    """One request in its thread; `cancel` may come from another thread, before, during or after it."""

    def __init__(self, inner: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._inner, self._scope, self._receive, self._send = inner, scope, receive, send
        self._lock = threading.Lock()
        self._cancelled = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task] | None = None
        self._answered = False

    def run(self) -> None:
        try:
            asyncio.run(self._handle())
        except asyncio.CancelledError:
            pass
        except Exception:
            # The application's own error handler has answered and raises again for the server to log. It has logged.
            if not self._answered:
                raise

    async def _handle(self) -> None:
        with self._lock:
            if self._cancelled:
                return
            self._running = (asyncio.get_running_loop(), asyncio.current_task())
        try:
            await self._inner(self._scope, self._receive, self._track)
        finally:
            with self._lock:
                self._running = None

    async def _track(self, message: Message) -> None:
        self._answered = True
        await self._send(message)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._running is not None:
                loop, task = self._running
                loop.call_soon_threadsafe(task.cancel)
