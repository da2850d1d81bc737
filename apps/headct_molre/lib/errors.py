"""Errors as they go over the wire: a status and {code, message}, with the field that is to blame, never a traceback."""

import json
import logging
import traceback
import uuid

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from starlette.exceptions import HTTPException

from headct_molre.errors import HeadCTError

logger = logging.getLogger("headct_molre.server")

_CODES = {404: "not_found", 405: "method_not_allowed", 429: "busy"}


def install_error_handlers(app: FastAPI) -> None:
    """Gives an application our error bodies; before its first request."""
    app.add_exception_handler(HeadCTError, _headct_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(json.JSONDecodeError, _json_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(MONAILabelException, _monailabel_exception)
    app.add_exception_handler(Exception, _unexpected)


def error_response(error: HeadCTError) -> JSONResponse:
    """The response to an error of ours."""
    retry_after_s = getattr(error, "retry_after_s", None)
    return JSONResponse(error.to_json(), error.status, None if retry_after_s is None else {"Retry-After": str(retry_after_s)})


def _headct_error(request: Request, error: HeadCTError) -> JSONResponse:
    return error_response(error)


def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _body("invalid_json", "The body is not valid JSON.", 422)
    # The first place is "query", "path" or "body"; the rest leads to the field.
    field = ".".join(str(place) for place in first["loc"][1:])
    return _body("invalid_request", f"{field}: {first['msg']}", 422, field=field)


def _json_error(request: Request, error: json.JSONDecodeError) -> JSONResponse:
    return _body("invalid_json", f"A parameter is not valid JSON: {error.msg} at character {error.pos}.", 422)


def _http_exception(request: Request, error: HTTPException) -> JSONResponse:
    code = _CODES.get(error.status_code, "internal_error" if error.status_code >= 500 else "request_refused")
    response = _body(code, str(error.detail), error.status_code)
    response.headers.update(error.headers or {})
    return response


def _monailabel_exception(request: Request, error: MONAILabelException) -> JSONResponse:
    if error.error == MONAILabelError.INVALID_INPUT:
        return _body("invalid_request", error.msg, 422)
    return _unexpected(request, error)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    request_id = uuid.uuid4().hex[:12]
    # Only where and what: the text of an exception may hold a file name, and with it the id of a study.
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("request %s failed with %s\n%s", request_id, type(error).__name__, frames)
    message = "The server failed on this request; its log has the reason under the request id."
    return _body("internal_error", message, 500, request_id=request_id)


def _body(code: str, message: str, status: int, **more: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message, **more}, status)
