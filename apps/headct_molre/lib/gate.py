"""What is turned away before any handler sees it: foreign host names, unsafe routes, ids that are none."""

import logging
import uuid

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from headct_molre.errors import HeadCTError, InvalidRequest, NotFound

from .errors import error_response

logger = logging.getLogger("headct_molre.server")

# (methods, first part of the path, why): MONAI Label's routes that are unsafe without authentication or that need
# what a head CT server does not have. A slash at the end stands for this path alone.
DISABLED = (
    ({"PUT", "DELETE"}, "/model", "Model versions are immutable and are not uploaded."),
    (None, "/proxy", "This server lends nobody its access to a PACS."),
    (None, "/reload", "Restart the server to load the app again."),
    (None, "/logs", "Read the log where the server was started."),
    (None, "/ohif", "This server has no web viewer."),
    (None, "/scoring", "This server has no scoring methods; labels are compared when a model is evaluated."),
    (None, "/infer/wsi", "This server does not read pathology slides."),
    (None, "/infer/wsi_v2", "This server does not read pathology slides."),
    (None, "/docs", "MONAI Label's page loads scripts from another web site; /headct/openapi.json describes the routes."),
    ({"PUT"}, "/datastore/", "Add studies with PUT /datastore/image."),
    ({"PUT"}, "/datastore/label/info", "A label is derived from submissions; it carries no notes of its own."),
    ({"PUT"}, "/datastore/updatelabelinfo", "A label is derived from submissions; it carries no notes of its own."),
)
_LOCAL_NAMES = {"127.0.0.1", "localhost", "[::1]"}


class Gate:
    """Around the whole application; refusals are {code, message} like every other error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # start and stop of the server
            await self._app(scope, receive, send)
            return
        try:
            check_host(HTTPConnection(scope).headers.get("host", ""))
            check_route(scope["method"], scope["path"])
        except HeadCTError as error:
            await error_response(error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            # The application has answered and logged it. The web server would log its text too, and with it file names.
            logger.debug("%s was answered as an internal error", type(error).__name__)


def check_host(host: str) -> None:
    """Raises HeadCTError for a request to another name: a web page may point its own name at this machine."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _LOCAL_NAMES:
        raise HeadCTError("unknown_host", "This server answers to 127.0.0.1 and localhost only.", status=403)


def check_route(method: str, path: str) -> None:
    """Raises HeadCTError `disabled` for a route that is switched off, NotFound for a session id that is none."""
    for methods, prefix, reason in DISABLED:
        if (path == prefix or path.startswith(prefix + "/")) and (methods is None or method in methods):
            raise HeadCTError("disabled", reason, status=403)
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
