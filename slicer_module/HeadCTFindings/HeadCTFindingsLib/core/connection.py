"""Where the server is, whether it answers, and at which step it does not: with what to do about it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import NOT_OURS, NotReadable, ServerError, Unreachable

if TYPE_CHECKING:
    from .client import Client
    from .transport import Cancellable

DEFAULT_PORT = 8000
OLDEST_SERVER = (0, 1)
APP_NAME = "Head CT MoLRE"
# In the order in which they are tried.
STEPS = ("address", "name", "refused", "timeout", "tls", "http", "app", "version", "token", "models")


@dataclass(frozen=True)
class Address:
    """A server's address; `path` is where a proxy has put it, without a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    @property
    def local(self) -> bool:
        """Whether it is this computer."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def base(self) -> str:
        """The address as text, always in the same form."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def normalised(text: str) -> Address:
    """An address as people type it: without a scheme (http), without a port (8000, or 443 for https), with spaces or a slash at its end.

    0.0.0.0, which servers print and nobody can connect to everywhere, becomes 127.0.0.1. Raises Unreachable at the step "address".
    """
    typed = text.strip()
    if not typed:
        raise _bad("There is no server address.")
    if "://" not in typed:
        typed = f"http://{typed}"
    try:
        parts = urlsplit(typed)
        port = parts.port
    except ValueError:
        raise _bad(f"{text.strip()!r} has no valid port.") from None
    if parts.scheme not in ("http", "https"):
        raise _bad(f"{parts.scheme}:// is not a server address.")
    host = parts.hostname or ""  # in lower case
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+(%[a-z0-9]+)?", host):
        raise _bad(f"{text.strip()!r} does not name a computer.")
    if parts.username is not None or parts.query or parts.fragment:
        raise _bad("The address has a user name or a query in it; the token has a field of its own.")
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    if port is None:
        port = 443 if parts.scheme == "https" else DEFAULT_PORT
    return Address(parts.scheme, host, port, parts.path.rstrip("/"))


@dataclass(frozen=True)
class ModelState:
    """A model of the server: whether it can predict here, and why not."""

    name: str
    version: str
    demo: bool
    available: bool
    reason: str

    @property
    def title(self) -> str:
        """For the list of models."""
        if not self.available:
            return f"{self.name} (not available)"
        return f"{self.name} {self.version}{' · DEMO' if self.demo else ''}"


@dataclass(frozen=True)
class Status:
    """A server that answers: `devices` compute ("cpu", "cuda:0"), `reader` and `roles` are whose token it is, empty without one."""

    address: Address
    version: str
    health: str
    reasons: tuple[str, ...]
    devices: tuple[str, ...]
    running: int
    waiting: int
    expected_wait_s: float | None
    models: tuple[ModelState, ...]
    strategies: tuple[str, ...]
    auth: bool
    reader: str
    roles: tuple[str, ...]

    @property
    def may_train(self) -> bool:
        """Whether this person may start training, promote and roll back."""
        return "trainer" in self.roles

    @property
    def level(self) -> str:
        """The colour of the status dot: "good", "warning" or "bad"."""
        if self.health == "ready" and any(model.available for model in self.models):
            return "good"
        return "warning" if self.health in ("ready", "degraded") else "bad"

    @property
    def device_text(self) -> str:
        """GPU or CPU in plain words: predictions on a CPU are slower, and people should know."""
        gpus = [device for device in self.devices if device != "cpu"]
        return ("GPU " + ", ".join(gpus)) if gpus else "CPU (no GPU: a prediction takes longer)"

    @property
    def lines(self) -> tuple[str, ...]:
        """The summary beside the status dot."""
        able = [model.title for model in self.models if model.available]
        queue = f"{self.running} running, {self.waiting} waiting"
        if self.expected_wait_s:
            queue += f", about {self.expected_wait_s:.0f} s to wait"
        who = f"{self.reader} ({self.roles[-1]})" if self.auth and self.roles else "no login asked for"
        return (
            f"Server {self.version} at {self.address.base}: {self.health}",
            f"Computes on {self.device_text}",
            "Models: " + (", ".join(able) or "none can be used"),
            f"Queue: {queue}",
            f"Reader: {who}",
            *self.reasons,
        )


def check_connection(client: Client, ticket: Cancellable | None = None) -> Status:
    """Walks the steps and tells what is there. Raises Unreachable, which names the step that failed and what to do, and Cancelled."""
    version = _version(client, ticket)
    try:
        who = client.whoami(ticket) if client.auth_enabled(ticket) else {}
        health, info, queue = client.health(ticket), client.info(ticket), client.queue(ticket)
    except (ServerError, NotReadable) as error:
        raise _http(error) from error
    return Status(
        address=client.address,
        version=version,
        health=str(health.get("status", "unknown")),
        reasons=tuple(str(reason.get("message", "")) for reason in health.get("reasons") or ()),
        devices=tuple(str(device.get("device", "")) for device in queue),
        running=sum(len(device.get("running", ())) for device in queue),
        waiting=sum(len(device.get("waiting", ())) for device in queue),
        expected_wait_s=min((each["expected_wait_s"] for each in queue if each.get("expected_wait_s") is not None), default=None),
        models=tuple(_model(name, entry) for name, entry in info.get("models", {}).items()),
        strategies=tuple(info.get("strategies", {})),
        auth=bool(who),
        reader=str(who.get("username") or ""),
        roles=tuple(who.get("roles") or ("reader", "trainer", "admin")),
    )


def _version(client: Client, ticket: Cancellable | None) -> str:
    """The version of a server that is ours."""
    try:
        about = client.about(ticket)
    except NotReadable:
        raise _another_program() from None
    except ServerError as error:
        if error.code == "unauthenticated":
            raise _token_refused(client) from error
        if error.code == NOT_OURS and 400 <= error.status < 500 and error.status not in (401, 407):
            raise _another_program() from error
        raise _http(error) from error
    if not isinstance(about, Mapping) or about.get("name") != APP_NAME:
        raise _another_program()
    version = str(about.get("version", ""))
    if _numbers(version) < OLDEST_SERVER:
        least = ".".join(map(str, OLDEST_SERVER))
        remedy = f"This module needs {least} or newer: update the server."
        raise Unreachable("version", f"The server has version {version or 'unknown'}.", remedy)
    return version


def _token_refused(client: Client) -> Unreachable:
    if not client.token:
        remedy = "Enter yours; the operator makes one with `headct-molre token create`."
        return Unreachable("token", "The server asks for a token.", remedy)
    remedy = "It may have expired or been revoked: ask the operator for a new one."
    return Unreachable("token", "The server does not take this token.", remedy)


def _another_program() -> Unreachable:
    remedy = "Another program answers there. Check the port: the server of Head CT MoLRE prints its own when it starts."
    return Unreachable("app", "What answers at this address is no Head CT MoLRE server.", remedy)


def _http(error: ServerError | NotReadable) -> Unreachable:
    """An answer that is an error, by whoever is in front of the server or by itself."""
    if isinstance(error, NotReadable):
        return Unreachable(
            "http", f"The server's answer cannot be read: {error}.", "Update the server and this module to versions that fit."
        )
    message = f"{error.message.rstrip('.')} ({error.status})."
    if error.code != NOT_OURS:
        return Unreachable("http", message, "Try again in a moment." if error.passing else "Tell the operator of the server.")
    if error.status in (401, 407):
        return Unreachable("http", message, "A proxy in front of the server asks for a login of its own; ask for an address without it.")
    if error.status < 400:
        return Unreachable("http", message, "")
    return Unreachable("http", message, "A proxy answers for the server: it may be stopped. Tell its operator.")


def _model(name: str, entry: Any) -> ModelState:
    reason = str(entry.get("reason") or "")
    return ModelState(name, str(entry.get("version") or ""), bool(entry.get("demo")), bool(entry.get("available", not reason)), reason)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _bad(message: str) -> Unreachable:
    return Unreachable("address", message, "Enter it like http://127.0.0.1:8000 or https://ct.hospital.example.")
