"""What is turned away before any handler sees it: foreign host names, unsafe routes, ids that are none."""

import uuid
from collections.abc import Collection
from ipaddress import ip_address

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from headct_molre.errors import HeadCTError, InvalidRequest, NotFound
from headct_molre.server.config import ServerConfig
from headct_molre.server.routes_off import ROUTES_OFF
from lib.errors import error_response

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Gate:
    """Around the whole application; refusals are {code, message} like every other error."""

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self._app = app
        self._config = config
        self._names = host_names(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                check_host(HTTPConnection(scope).headers.get("host", ""), self._names)
                if self._config.auth == "none":
                    check_own_address(scope.get("server"))
                check_route(scope["method"], scope["path"], self._config.enabled_routes)
            except HeadCTError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check_own_address(address: tuple[str, int | None] | None) -> None:
    """Raises HeadCTError for a request that came over the network to a server without authentication.

    `serve` does not listen there; MONAI Label's own start does, unless it is told otherwise.
    """
    try:
        own = ip_address(address[0] if address else "")
    except ValueError:
        return  # no network address: a socket of this machine
    if not (getattr(own, "ipv4_mapped", None) or own).is_loopback:
        message = "This server has no authentication and answers on this machine only; docs/operations.md says how to open it."
        raise HeadCTError("no_authentication", message, status=403)


def host_names(config: ServerConfig) -> frozenset[str]:
    """The names by which clients may call: those of this machine, and with authentication the bound hosts and the configured names."""
    if config.auth == "none":
        return _LOCAL_NAMES
    return _LOCAL_NAMES | {f"[{name}]" if ":" in name else name.lower() for name in (*config.hosts, *config.names)}


def check_host(host: str, names: Collection[str]) -> None:
    """Raises HeadCTError for a request to another name: a web page may point its own name at this machine."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in names:
        message = (
            "This server does not answer to the name by which it was called; the setting names adds names, where there is authentication."
        )
        raise HeadCTError("unknown_host", message, status=403)


def check_route(method: str, path: str, enabled: Collection[str] = ()) -> None:
    """Raises HeadCTError `disabled` for a route that is switched off, NotFound for a session id that is none."""
    for route in ROUTES_OFF:
        if route.covers(method, path) and route.name not in enabled:
            raise HeadCTError("disabled", route.reason, status=403)
    if path.startswith("/session/") and path != "/session/":
        checked_session(path.removeprefix("/session/").rstrip("/"))


def checked_session(session_id: str) -> str:
    """The id in its canonical form. Raises NotFound `unknown_session`, since an id that is no UUID is no session."""
    try:
        canonical = str(uuid.UUID(session_id))
    except ValueError:
        canonical = ""
    if canonical != session_id:
        raise NotFound("unknown_session", "There is no such session, or it has expired.", field="session_id")
    return canonical


def checked_upload(name: str | None) -> str:
    """The base name of an uploaded file. Raises InvalidRequest for names that are none."""
    base = (name or "").replace("\\", "/").rpartition("/")[2]
    if not base or base.startswith(".") or len(base) > 200 or not base.isprintable():
        raise InvalidRequest("invalid_file_name", "The uploaded file needs a plain name.", field="file")
    return base
