"""Around every request: its id, the headers that all answers have, its line in the log, its measurement."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headct_molre.server.pseudonym import pseudonym
from headct_molre.server.request_id import REQUEST_ID, request_id_from
from lib import metrics
from lib.errors import failure_response
from lib.logs import event

logger = logging.getLogger("headct_molre.access")

CLIENT_GONE = 499  # as web servers log it; nobody is there to get an answer
UNMATCHED = "unmatched"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_QUIET = ("/headct/health", "/headct/metrics")  # asked every few seconds by machines; logged only where they fail
_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",  # patients' data, which no browser or proxy shall keep
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'none'",
}


class Access:
    """The outermost application. Nothing that goes wrong inside leaves it: every request is answered and logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # start and stop of the server
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        token = REQUEST_ID.set(exchange.request_id)
        metrics.IN_FLIGHT.inc()
        try:
            await self._run(exchange)
        finally:
            metrics.IN_FLIGHT.dec()
            exchange.report()
            REQUEST_ID.reset(token)

    async def _run(self, exchange: "_Exchange") -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.status is None:
                await failure_response(error)(exchange.scope, exchange.receive, exchange.send)
            # Else the handler of the application has logged it, and the server cuts the connection.


class _Exchange:
    """A request and its answer as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.request_id = request_id_from(Headers(scope=scope).get("x-request-id"))
        self.status: int | None = None
        self._started = time.monotonic()
        self._received = self._sent = 0
        self._gone = False
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._gone |= message["type"] == "http.disconnect" and self.status is None
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["x-request-id"] = self.request_id
        self._sent += len(message.get("body", b""))
        await self._send(message)

    def report(self) -> None:
        """The line in the log and the measurement; of the path only its template, of the reader a pseudonym."""
        seconds = time.monotonic() - self._started
        status = CLIENT_GONE if self._gone or self.status is None else self.status
        route = _template(self.scope)
        # A client may call its method anything, a patient's name too.
        method = self.scope["method"] if self.scope["method"] in _METHODS else "OTHER"
        metrics.observe_request(route, method, status, seconds)
        level = logging.WARNING if status >= 500 else logging.DEBUG if route in _QUIET else logging.INFO
        fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        fields |= {"bytes_in": self._received, "bytes_out": self._sent}
        principal = self.scope["state"].get("principal")  # known where the server has authentication
        if principal is not None:
            fields["reader"] = pseudonym(principal.reader)
        event(logger, level, "request", **fields)


def _template(scope: Scope) -> str:
    """The path of the route as it was declared, without what stood in its place; the bridge notes those of MONAI Label's routes."""
    noted = scope["state"].get("route")
    return noted or getattr(scope.get("route"), "path", "") or UNMATCHED
