"""Before every handler: whose token it is, and whether its role is enough for the route.

MONAI Label's own authentication stays off, because it verifies no token at all: its handlers get its default user, who may do
everything. So they must not be reached but through here, and what `headct_molre.server.roles` does not list reaches nobody.
"""

import asyncio
import contextvars
import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from headct_molre.data.store import Tokens
from headct_molre.errors import HeadCTError
from headct_molre.server.authenticator import Authenticator, by_issuer, by_tokens
from headct_molre.server.config import ServerConfig
from headct_molre.server.principal import Principal, unauthenticated
from headct_molre.server.pseudonym import pseudonym
from headct_molre.server.roles import least_role
from lib.errors import error_response
from lib.logs import event

logger = logging.getLogger("headct_molre.server")

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
# Their own few threads: handlers that wait for the database or a device must not keep others from being let in.
_THREADS = 4


def make_authenticator(config: ServerConfig, tokens: Callable[[], Tokens]) -> Authenticator | None:
    """What the configuration asks for; None without authentication."""
    if config.auth == "tokens":
        return by_tokens(tokens)
    return by_issuer(config.oidc) if config.oidc is not None else None


class Authentication:
    """Notes in the request's state that there is authentication, and the Principal (None on open routes); see `lib.principal`."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator | None) -> None:
        self._app = app
        self._authenticator = authenticator
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="auth")
        self._refusals = _Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none; an application that is mounted here might bring one
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http" and self._authenticator is not None:
            try:
                principal = await self._admitted(HTTPConnection(scope), self._authenticator)
            except HeadCTError as error:
                await self._refuse(error, scope, receive, send)
                return
            scope.setdefault("state", {}).update(authentication=True, principal=principal)
        await self._app(scope, receive, send)

    async def _admitted(self, request: HTTPConnection, authenticator: Authenticator) -> Principal | None:
        try:
            token = bearer_token(request.headers.getlist("authorization"))
            principal = authenticator.remembered(token)
            if principal is None:
                in_context = contextvars.copy_context().run  # with the id of the request, for the log
                loop = asyncio.get_running_loop()
                principal = await loop.run_in_executor(self._threads, in_context, authenticator.authenticate, token)
        except HeadCTError:
            if _is_open(request.scope):
                return None
            raise
        least = least_role(request.scope["method"], request.scope["path"])
        if least is not None:
            principal.require(least)
        return principal

    async def _refuse(self, error: HeadCTError, scope: Scope, receive: Receive, send: Send) -> None:
        response = error_response(error)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
            self._refusals.note(scope)
        await response(scope, receive, send)


def bearer_token(headers: list[str]) -> str:
    """The token of the Authorization headers. Raises HeadCTError `unauthenticated` unless there is one, of the scheme Bearer."""
    if len(headers) == 1 and (found := _BEARER.fullmatch(headers[0].strip())):
        return found[1]
    raise unauthenticated(
        "This server asks who you are: send the header Authorization: Bearer TOKEN. Its administrator makes tokens, or names the issuer."
    )


def _is_open(scope: Scope) -> bool:
    try:
        return least_role(scope["method"], scope["path"]) is None
    except HeadCTError:
        return False


class _Refusals:
    """Logs who was refused: one line a minute for each address, under its pseudonym.

    Nothing more is done against guessing: 256 random bits are not guessed in the age of the universe, and a limit by address would
    lock out a reading room behind one router.
    """

    MOST = 1_000

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}  # when it was logged, refusals since then

    def note(self, scope: Scope) -> None:
        address = pseudonym(str((scope.get("client") or ("",))[0]))
        logged_at, since = self._seen.get(address, (float("-inf"), 0))
        now = time.monotonic()
        if now - logged_at < 60:
            self._seen[address] = logged_at, since + 1
            return
        event(logger, logging.WARNING, "refused a request without a good token", address=address, more_since_last_line=since)
        if len(self._seen) >= self.MOST:
            self._seen.clear()
        self._seen[address] = now, 0
