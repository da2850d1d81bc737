"""What happens on a connection before and after a request: slow headers, headers without end, refused bodies, nonsense."""

import json
import socket
import threading
import time

import pytest
from fastapi import FastAPI

from app_shell import shelled
from headct_molre.server.config import ServerConfig
from headct_molre.server.listening import bound_sockets
from lib import launch
from server_process import free_port

routes = FastAPI()


@routes.post("/x")
@routes.get("/x")
def answer() -> int:
    return 1


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(launch, "HEADER_S", 0.5)
    monkeypatch.setattr(launch, "LINGER_S", 0.5)
    monkeypatch.setattr(launch, "CONNECTIONS", 8)
    config = ServerConfig(port=free_port())
    running = launch.server(config, shelled(routes, config))
    thread = threading.Thread(target=running.run, args=(bound_sockets(config),))
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield config.port
    running.should_exit = True
    thread.join()


def connected(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read(connection):
    """Everything until the server closes the connection; b"" when it cuts it."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def is_cut(connection):
    """Whether the server closes a connection within five seconds on which a byte comes now and then."""
    for _ in range(100):
        try:
            connection.sendall(b"x")
        except OSError:
            return True
        time.sleep(0.05)
    return False


def status_and_code(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def test_one_connection_serves_several_requests(port):
    with connected(port) as connection:
        for _ in range(3):
            connection.sendall(b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n")
            time.sleep(0.1)
            answer = connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"\r\nserver:" not in answer.lower()


@pytest.mark.parametrize("sent", [b"", b"GET /x HTTP/1.1\r\nx-slow: "])
def test_a_connection_without_whole_headers_is_cut(port, sent):
    with connected(port) as connection:
        started = time.monotonic()
        connection.sendall(sent)
        assert read(connection) == b""
        assert time.monotonic() - started < 5


def test_headers_that_drip_are_cut_after_a_request_too(port):
    with connected(port) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        assert is_cut(connection)


def test_headers_without_end_are_refused_with_431(port):
    with connected(port) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nx-long: " + b"x" * (launch.HEADER_BYTES + 10))
        assert status_and_code(read(connection)) == (431, "headers_too_large")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00\x01", b"GET\r\n\r\n", b"GET /x HTTP/1.1\r\ncontent-length: -1\r\n\r\n"])
def test_nonsense_is_refused_with_400(port, sent):
    with connected(port) as connection:
        connection.sendall(sent + b"\r\n\r\n")
        assert status_and_code(read(connection)) == (400, "invalid_http")


def test_a_client_gets_to_read_why_its_body_was_refused(port):
    head = b"POST /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 3000000\r\n\r\n"
    with connected(port) as connection:
        connection.sendall(head + b"x" * 3_000_000)
        assert status_and_code(read(connection)) == (413, "body_too_large")


def test_a_refused_body_that_does_not_end_is_cut(port):
    with connected(port) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000000\r\n\r\n")
        assert is_cut(connection)


def test_a_web_socket_is_answered_as_a_plain_request(port):
    with connected(port) as connection:
        connection.sendall(b"GET /none HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n")
        assert status_and_code(read(connection))[0] == 404


def test_one_connection_too_many_is_closed_and_later_ones_are_served(port):
    held = [connected(port) for _ in range(8)]
    time.sleep(0.1)
    with connected(port) as connection:
        assert read(connection) == b""
    for connection in held:
        connection.close()
    time.sleep(0.1)
    with connected(port) as connection:
        connection.sendall(b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert read(connection).startswith(b"HTTP/1.1 200")
