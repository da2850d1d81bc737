"""Requests over HTTP and HTTPS with the standard library: each with a time limit, an id, and a way to be cut off at once.

Each request has a connection of its own, so that any number of threads may share a Transport, and a server that was restarted is no
surprise.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from . import CLIENT
from .connection import Address
from .errors import NOT_OURS, Cancelled, NotReadable, ServerError, Unreachable

CONNECT_S = 5.0
ANSWER_S = 15.0
_CHUNK = 1 << 20  # Slicer's threads take turns with its main thread at every chunk: small ones make an upload slow
_MOST_BYTES = 256_000_000  # of an answer that is read as a whole; the largest Prediction has 2 MB


class Cancellable(Protocol):
    """What a request needs of a `worker.Ticket`."""

    def check(self) -> None:
        """Raises Cancelled."""

    def report(self, value: Any) -> None:
        """Takes progress."""

    def on_cancel(self, close: Callable[[], None]) -> Callable[[], None]:
        """Calls `close` on cancellation; the answer takes it back."""


@dataclass(frozen=True)
class Transfer:
    """Progress of an upload or download in bytes; `total` is 0 where the server does not say."""

    sent: int
    total: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(self.sent / self.total, 1.0) if self.total else 0.0


@dataclass(frozen=True)
class Transport:
    """One server; the token goes into the header of each request and nowhere else. `certificate` is a file of a private authority."""

    address: Address
    token: str = ""
    certificate: str = ""

    def json(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        ticket: Cancellable | None = None,
        answer_s: float = ANSWER_S,
        request_id: str | None = None,
        accept: tuple[int, ...] = (),
    ) -> Any:
        """Sends `body` as JSON and returns what the JSON of the answer holds; `accept` are statuses that are no refusal here.

        Raises ServerError, Unreachable, Cancelled, and NotReadable where the answer is no JSON.
        """
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        with self._exchange(method, path, query, headers, len(content), ticket, answer_s, request_id) as connection:
            if content:
                connection.send(content)
            return _as_json(_body(self._answer(connection, accept)))

    def page(self, path: str, ticket: Cancellable | None = None) -> tuple[str, str]:
        """A page, and the Content-Security-Policy that the server sent with it, empty where there is none."""
        with self._exchange("GET", path, None, {}, 0, ticket, ANSWER_S, None) as connection:
            answer = self._answer(connection)
            return _body(answer).decode("utf-8", "replace"), answer.headers.get("Content-Security-Policy") or ""

    def upload(
        self,
        path: str,
        query: Mapping[str, Any],
        field: str,
        file: Path,
        suffix: str,
        ticket: Cancellable | None = None,
        answer_s: float = 300.0,
    ) -> Any:
        """PUTs a file as a form and reports `Transfer`; the server is told the suffix, but no name, which could be a patient's.

        A server that refuses before the end is heard. Raises as `json` does, and OSError where the file cannot be read.
        """
        boundary = uuid.uuid4().hex
        disposition = f'form-data; name="{field}"; filename="volume{suffix}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        with file.open("rb") as source:
            size = file.stat().st_size
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            length = len(head) + size + len(tail)
            with self._exchange("PUT", path, query, headers, length, ticket, answer_s, None) as connection:
                try:
                    connection.send(head)
                    _transfer(source.read, connection.send, size, ticket)
                    connection.send(tail)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it has refused, and the answer says why
                return _as_json(_body(self._answer(connection)))

    def download(
        self,
        path: str,
        query: Mapping[str, Any],
        file: Path,
        ticket: Cancellable | None = None,
        answer_s: float = 60.0,
        request_id: str | None = None,
    ) -> Path:
        """GETs a file and reports `Transfer`; it appears whole or not at all. Returns where it is."""
        partial = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
        try:
            with self._exchange("GET", path, query, {}, 0, ticket, answer_s, request_id) as connection:
                answer = self._answer(connection)
                total = int(answer.headers.get("Content-Length") or 0)
                with partial.open("wb") as target:
                    got = _transfer(answer.read, target.write, total, ticket)
                if ticket is not None:
                    ticket.check()
                if total and got < total:
                    raise http.client.IncompleteRead(b"", total - got)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        return file

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        length: int,
        ticket: Cancellable | None,
        answer_s: float,
        request_id: str | None,
    ) -> Iterator[http.client.HTTPConnection]:
        """A connection with the head of the request sent; every failure leaves it as one of our errors."""
        target = self.address.path + path
        given = {name: value for name, value in (query or {}).items() if value is not None}
        if given:
            target += "?" + urlencode({name: _plain(value) for name, value in given.items()})
        connection = self._connection()
        forget: Callable[[], None] | None = None
        cut = [False]
        try:
            if ticket is not None:
                ticket.check()
            connection.connect()
            sock = connection.sock
            if ticket is not None:

                def close() -> None:
                    cut[0] = True
                    _shut(sock)

                forget = ticket.on_cancel(close)
            sock.settimeout(answer_s)
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in {**self._headers(request_id), **headers}.items():
                connection.putheader(name, value)
            if length or method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(length))
            connection.endheaders()
            yield connection
        except Exception as error:
            if cut[0]:
                raise Cancelled(path) from None
            of_the_network = isinstance(error, http.client.HTTPException) or (isinstance(error, OSError) and error.filename is None)
            if not of_the_network:  # ours, or about a file of this computer
                raise
            raise self.unreachable(error, answer_s) from error
        finally:
            if forget is not None:
                forget()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        if not self.address.secure:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        try:
            context = _tls(self.certificate)
        except OSError:
            message = f"The certificate file {self.certificate} cannot be read."
            raise Unreachable("tls", message, "Choose the file of your certificate authority (PEM), or leave the field empty.") from None
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=context)

    def _headers(self, request_id: str | None) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "User-Agent": CLIENT,
            "X-Request-ID": request_id or uuid.uuid4().hex,
            "Connection": "close",
        }
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def _answer(self, connection: http.client.HTTPConnection, accept: tuple[int, ...] = ()) -> http.client.HTTPResponse:
        answer = connection.getresponse()
        if answer.status >= 300 and answer.status not in accept:
            raise _refusal(answer, _body(answer))
        return answer

    def unreachable(self, error: BaseException, answer_s: float = ANSWER_S) -> Unreachable:
        """A failure of the network by its step, with a remedy."""
        host, base = self.address.host, self.address.base
        if isinstance(error, socket.gaierror):
            return Unreachable("name", f"There is no computer named {host}.", "Check the spelling, the network and the VPN.")
        if isinstance(error, ConnectionRefusedError):
            remedy = f"Start it there, or check the port; it is {self.address.port} here."
            return Unreachable("refused", f"No server listens at {base}.", remedy)
        if isinstance(error, TimeoutError):
            remedy = "It may be busy, or a firewall may be in between; try again."
            return Unreachable("timeout", f"{base} did not answer in {answer_s:g} s.", remedy)
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = "Where your hospital has its own certificate authority, choose its file in the settings."
            return Unreachable("tls", f"The certificate of {host} is not trusted: {error.verify_message}.", remedy)
        if isinstance(error, ssl.SSLError):
            return Unreachable("tls", f"{base} does not speak TLS as expected.", "Try the address with http:// in place of https://.")
        if isinstance(error, (http.client.HTTPException, ConnectionError)):
            remedy = "It may have been stopped meanwhile, or want https:// in place of http://."
            return Unreachable("http", f"{base} ended the connection without a whole answer.", remedy)
        return Unreachable("refused", f"{base} cannot be reached: {error}.", "Check the network and the VPN.")


def part(name: str) -> str:
    """An id or name as one part of a path, whatever is in it."""
    return quote(name, safe="")


def an_object(answer: Any, *names: str) -> dict[str, Any]:
    """The answer as an object that has all these entries. Raises NotReadable."""
    if not isinstance(answer, dict) or any(name not in answer for name in names):
        wanted = " with " + ", ".join(names) if names else ""
        raise NotReadable(f"the answer of the server is not an object{wanted}")
    return answer


def a_list(answer: Any) -> list[dict[str, Any]]:
    """The answer as a list of objects. Raises NotReadable."""
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise NotReadable("the answer of the server is not a list of objects")
    return answer


@cache
def _tls(certificate: str) -> ssl.SSLContext:
    """Reading the computer's certificates takes tens of milliseconds in which no other thread runs: once is enough."""
    return ssl.create_default_context(cafile=certificate or None)


def _transfer(read: Callable[[int], bytes], write: Callable[[bytes], Any], total: int, ticket: Cancellable | None) -> int:
    """Moves bytes chunk by chunk, and says how far it is; returns their number. Raises Cancelled before the chunk that is not wanted."""
    moved = 0
    while chunk := read(_CHUNK):
        if ticket is not None:
            ticket.check()
        write(chunk)
        moved += len(chunk)
        if ticket is not None:
            ticket.report(Transfer(moved, total))
    return moved


def _refusal(answer: http.client.HTTPResponse, body: bytes) -> ServerError:
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    document = document if isinstance(document, dict) else {}
    message = document.get("message") or document.get("detail") or f"The server answered {answer.status} {answer.reason}."
    location = answer.headers.get("Location")
    if answer.status < 400 and location:
        message = f"The server points to {location}: enter that as its address."
    try:
        retry_after = float(answer.headers.get("Retry-After") or "")
    except ValueError:
        retry_after = None
    request_id = document.get("request_id") or answer.headers.get("X-Request-ID") or ""
    code = document.get("code") or NOT_OURS
    return ServerError(str(code), str(message), answer.status, document.get("field"), retry_after, str(request_id))


def _body(answer: http.client.HTTPResponse) -> bytes:
    body = answer.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise NotReadable("the answer of the server is larger than any answer can be")
    return body


def _as_json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise NotReadable("the answer of the server is no JSON") from None


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # an SSLSocket's own would pull the rug from under the thread that reads
