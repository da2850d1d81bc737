"""The sockets of a server, bound before anything heavy is loaded, so that a taken port is found out at once."""

from __future__ import annotations

import errno
import socket

from ..errors import HeadCTError, InvalidRequest
from .config import ServerConfig


def bound_sockets(config: ServerConfig) -> list[socket.socket]:
    """One bound socket for each address; connections are refused until the server listens.

    Raises HeadCTError `port_taken`, InvalidRequest `address_unavailable`.
    """
    sockets: list[socket.socket] = []
    try:
        for host in config.hosts:
            sockets += [_bound(family, address) for family, address in _addresses(host, config.port)]
    except BaseException:
        close(sockets)
        raise
    return sockets


def close(sockets: list[socket.socket]) -> None:
    """Gives the addresses back."""
    for each in sockets:
        each.close()


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise InvalidRequest("address_unavailable", f"The server cannot listen on {host}: {reason}.", field="host") from None
    unique = dict.fromkeys((family, address) for family, _, _, _, address in found)
    # A name like localhost often stands for ::1 too, on machines that have no IPv6.
    return [entry for entry in unique if entry[0] != socket.AF_INET6 or socket.has_dualstack_ipv6() or len(unique) == 1]


def _bound(family: socket.AddressFamily, address: tuple) -> socket.socket:
    host, port = address[:2]
    try:
        # The protocol by name: only then does asyncio send small answers at once, and not 40 ms later.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise InvalidRequest("address_unavailable", f"The server cannot listen on {host}: {error.strerror}.", field="host") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for the connections of before
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # :: and 0.0.0.0 are two addresses
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} on {host} is taken by another program: stop it, or choose another --port."
            raise HeadCTError("port_taken", message, field="port", status=409) from None
        if error.errno == errno.EACCES:
            message = f"This user may not listen on port {port}: choose one above 1023."
            raise InvalidRequest("address_unavailable", message, field="port") from None
        raise InvalidRequest("address_unavailable", f"The server cannot listen on {host}: {error.strerror}.", field="host") from None
    return bound
