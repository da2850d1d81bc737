"""Errors as they go over the wire: a status and {code, message, request_id}, with the field that is to blame, never a traceback."""

import errno
import json
import logging
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import HeadCTError
from headct_molre.server.request_id import REQUEST_ID
from lib.logs import failure
from lib.metrics import STORE_FAULTS

logger = logging.getLogger("headct_molre.server")

RETRY_AFTER_S = 5
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 429: "busy", 431: "headers_too_large"}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOO_MANY = re.compile(r"Too many|exceeded maximum size")  # Starlette's words for the limits of a multipart body


class ErrorBody(BaseModel):
    """Every refusal and failure; `field` where one is to blame, `request_id` is found in the log."""

    code: str
    message: str
    field: str | None = None
    request_id: str | None = None


def install_error_handlers(app: FastAPI) -> None:
    """Gives an application our error bodies; before its first request."""
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    for known in (HeadCTError, ClientDisconnect, json.JSONDecodeError, UnicodeEncodeError, MemoryError, OSError, MONAILabelException):
        app.add_exception_handler(known, _answer)
    app.add_exception_handler(Exception, _answer)


def error_response(error: HeadCTError) -> JSONResponse:
    """The response to an error of ours; a client may try again after a 503 and a 429."""
    if isinstance(error, StoreUnavailable):
        STORE_FAULTS.labels(error.code).inc()
    response = _body(error.status, **error.to_json())
    if error.status in (429, 503):
        response.headers["retry-after"] = str(getattr(error, "retry_after_s", None) or RETRY_AFTER_S)
    return response


def known_error(error: BaseException | None) -> HeadCTError | None:
    """What an exception means in our words; None for one that is a fault of the server."""
    if isinstance(error, HeadCTError):
        return error
    if isinstance(error, json.JSONDecodeError):
        message = f"A parameter is not valid JSON: {error.msg} at character {error.pos}."
        return HeadCTError("invalid_json", message, status=422)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":  # JSON can hold half a character
        return HeadCTError("invalid_text", "A text of the request is not valid Unicode.", status=422)
    if isinstance(error, ClientDisconnect):
        return HeadCTError("client_gone", "The client left before its request was complete.")
    if isinstance(error, MemoryError):
        return HeadCTError("out_of_memory", "The server has not enough memory for this request now; send it again later.", status=503)
    if isinstance(error, OSError) and error.errno in _FULL:
        return HeadCTError("disk_full", "The server's disk is full. Nothing was stored; free some space and send it again.", status=507)
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return HeadCTError("disk_read_only", "The server's disk is read-only. Nothing was stored; make it writable.", status=507)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return HeadCTError("too_busy", "The server has too many files open; send the request again.", status=503)
    if isinstance(error, MONAILabelException) and error.error == MONAILabelError.INVALID_INPUT:
        return HeadCTError("invalid_request", error.msg, status=422)
    return None


def failure_response(error: Exception) -> JSONResponse:
    """The response to any exception; what is a fault of the server is logged."""
    known = known_error(error)
    if known is not None:
        return error_response(known)
    failure(logger, "the request failed", error)
    return _body(500, "internal_error", "The server failed on this request; its log has the reason under the request id.")


def _answer(request: Request, error: Exception) -> JSONResponse:
    return failure_response(error)


def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _body(422, "invalid_json", "The body is not valid JSON.")
    # The first place is "query", "path" or "body"; the rest leads to the field.
    field = ".".join(str(place) for place in first["loc"][1:])
    return _body(422, "invalid_request", f"{field}: {first['msg']}", field)


def _http_exception(request: Request, error: HTTPException) -> JSONResponse:
    # FastAPI calls whatever stops the reading of a body a malformed one, a full disk too; its cause says which.
    known = known_error(error.__cause__)
    if known is not None:
        return error_response(known)
    if isinstance(error.__cause__, RecursionError):
        return _body(422, "invalid_json", "The JSON of the body is nested too deeply.")
    if error.status_code == 400 and _TOO_MANY.search(str(error.detail)):
        return _body(413, "body_too_large", f"The form is larger than any form can be: {error.detail}")
    code = _CODES.get(error.status_code, "internal_error" if error.status_code >= 500 else "request_refused")
    response = _body(error.status_code, code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def _body(status: int, code: str, message: str, field: str | None = None) -> JSONResponse:
    body = {"code": code, "message": message, "field": field, "request_id": REQUEST_ID.get()}
    return _AsciiResponse({key: value for key, value in body.items() if value is not None}, status)


class _AsciiResponse(JSONResponse):
    """JSON with escapes: a message may repeat a character of the request that UTF-8 does not have."""

    def render(self, content: dict[str, str]) -> bytes:
        return json.dumps(content).encode("ascii")
