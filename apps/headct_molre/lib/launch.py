"""uvicorn with the limits of our configuration, and what it leaves open: slow headers, endless bodies, refusals without a code."""

import asyncio
import json
import logging
import math
import sys
from types import FrameType

import uvicorn
from h11 import DONE, IDLE, SEND_BODY
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from headct_molre.server.config import ServerConfig
from lib.health import HEALTH

HEADER_BYTES = 64_000
HEADER_S = 20.0  # for the first byte of a connection, and for whole headers
LINGER_S = 10.0  # how long the rest of a body is taken that was refused, so that the client gets to read why
KEEP_ALIVE_S = 20
GOODBYE_S = 0.5
ANSWER_S = 5
CONNECTIONS = 512  # more than requests: a connection between two requests costs little, but not nothing


class Server(uvicorn.Server):
    """Says in its health that it stops as soon as it is asked to."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        HEALTH.phase = "stopping"
        super().handle_exit(sig, frame)


class Protocol(H11Protocol):
    """One connection. It is cut when headers do not come, when a refused body does not end, and when there are too many others."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
        self._cut_after(HEADER_S)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self.conn.their_state is IDLE:
            self._cut_after(HEADER_S)
        super().data_received(data)
        if self.conn.our_state is DONE and self.conn.their_state is SEND_BODY:
            if self._timer is None:
                self._cut_after(LINGER_S)
        elif self.conn.their_state is not IDLE:
            self._keep()

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        self._leave()

    def _leave(self) -> None:
        """Cuts the connection once it is idle: under TLS, a polite end waits half a minute for a client that does not listen."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(GOODBYE_S, self.transport.abort)
        else:
            self.loop.call_later(GOODBYE_S, self._leave)

    def send_400_response(self, msg: str) -> None:
        """Called while h11's exception is handled; the sentence is ours, the request has no other."""
        status = getattr(sys.exc_info()[1], "error_status_hint", 400)
        code, message = "invalid_http", "This is not HTTP as the server understands it."
        if status == 431:
            code, message = "headers_too_large", f"The headers of a request are limited to {HEADER_BYTES:,} bytes."
        body = json.dumps({"code": code, "message": message}).encode()
        reason = "Request Header Fields Too Large" if status == 431 else "Bad Request"
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _cut_after(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server(config: ServerConfig, app: str | ASGIApp = "lib.server:app") -> Server:
    """A server of the application; `run(sockets)` runs it."""
    return Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            log_config=None,
            log_level=logging.INFO,
            access_log=False,  # our own line has no path and no query
            server_header=False,
            ssl_certfile=config.tls_certificate,
            ssl_keyfile=config.tls_key,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_S,
            # An inference that runs longer than stop_s is handed back at that moment: its answer must still be sent.
            timeout_graceful_shutdown=math.ceil(config.stop_s) + ANSWER_S,
        )
    )
