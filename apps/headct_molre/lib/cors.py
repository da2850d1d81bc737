"""Pages of other web sites: those of the named origins may call the server, all others change nothing and read nothing.

A browser lets any page send simple requests, forms among them, to any server that it reaches, this machine included; it only
keeps the answer from the page. So what changes something is turned away by its origin.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from headct_molre.errors import HeadCTError
from lib.errors import error_response

_SAFE = ("GET", "HEAD")


class Cors:
    """No credentials: the server has no cookies, a token is in a header that the page sets itself."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = origins
        self._open = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("authorization", "content-type", "x-request-id"),
            expose_headers=("x-request-id", "retry-after", "content-disposition"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None or urlsplit(origin).netloc == headers.get("host", "").lower():
            await self._app(scope, receive, send)
        elif origin in self._origins:
            await self._open(scope, receive, send)
        elif scope["method"] in _SAFE:
            await self._app(scope, receive, send)
        else:
            message = "This server takes no changes from pages of other web sites; its setting cors_origins names those that may."
            await error_response(HeadCTError("foreign_origin", message, status=403))(scope, receive, send)
