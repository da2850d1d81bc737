"""Whatever goes wrong is answered as {code, message, request_id} with the status that fits, and logged without patient data."""

import asyncio
import errno
import json

import pytest
from fastapi import FastAPI, Form, Query, Request, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from app_shell import asked, shelled
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.errors import HeadCTError, InvalidRequest
from lib import metrics

PATIENT = "MILLER^JOHN"
routes = FastAPI()
BROKEN_FORM = {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}}
RAISED = {
    "refused": (InvalidRequest("invalid_study", "No.", field="study"), 422, "invalid_study"),
    "busy": (HeadCTError("queue_full", "Full.", status=503), 503, "queue_full"),
    "store": (StoreUnavailable("store_locked", "Locked."), 503, "store_locked"),
    "full": (OSError(errno.ENOSPC, "No space", PATIENT), 507, "disk_full"),
    "quota": (OSError(errno.EDQUOT, "Quota", PATIENT), 507, "disk_full"),
    "read_only": (OSError(errno.EROFS, "Read-only", PATIENT), 507, "disk_read_only"),
    "files": (OSError(errno.EMFILE, "Too many", PATIENT), 503, "too_busy"),
    "memory": (MemoryError(PATIENT), 503, "out_of_memory"),
    "missing": (FileNotFoundError(errno.ENOENT, "Missing", PATIENT), 500, "internal_error"),
    "bug": (ValueError(PATIENT), 500, "internal_error"),
    "deep": (RecursionError(PATIENT), 500, "internal_error"),
    "http": (HTTPException(413, "Too large"), 413, "body_too_large"),
    "teapot": (HTTPException(418, "Tea"), 418, "request_refused"),
}


@routes.get("/raise")
def raise_it(name: str) -> None:
    raise RAISED[name][0]


@routes.post("/json")
def take_json(document: dict, number: int = Query(0, ge=0)) -> int:
    return len(document)


@routes.post("/form")
def take_form(text: str = Form(), file: UploadFile | None = None) -> int:
    text.encode()
    return len(text)


@routes.post("/text")
def take_text(document: dict) -> int:
    return len(document["text"].encode())


@routes.post("/body-breaks")
async def body_breaks(request: Request, file: UploadFile) -> None:
    pass


@routes.get("/stream")
def stream() -> StreamingResponse:
    def parts():
        yield b"first"
        raise OSError(errno.EIO, "Input/output error", PATIENT)

    return StreamingResponse(parts())


app = shelled(routes)


@pytest.mark.parametrize("name", RAISED)
def test_an_exception_becomes_a_status_and_a_code(name, caplog):
    _, status, code = RAISED[name]
    answer = asked(app, "GET", f"/raise?name={name}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert PATIENT not in answer.text + caplog.text
    assert ("the request failed" in caplog.text) == (code == "internal_error")


def test_the_store_says_when_to_try_again_and_is_counted():
    before = metrics.STORE_FAULTS.labels("store_locked")._value.get()
    assert int(asked(app, "GET", "/raise?name=store").headers["retry-after"]) >= 1
    assert metrics.STORE_FAULTS.labels("store_locked")._value.get() == before + 1


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("DELETE", "/json", {}, 405, "method_not_allowed"),
        ("POST", "/json", {"content": b"{"}, 422, "invalid_json"),
        ("POST", "/json", {"content": b"\xff"}, 400, "request_refused"),
        ("POST", "/json", {"content": b"[" * 500_000}, 422, "invalid_json"),
        ("POST", "/json", {"content": b"[]"}, 422, "invalid_request"),
        ("POST", "/json?number=-1", {"content": b"{}"}, 422, "invalid_request"),
        ("POST", "/json?number=x", {"content": b"{}"}, 422, "invalid_request"),
        ("POST", "/text", {"content": b'{"text": "\\ud800"}'}, 422, "invalid_text"),
        ("POST", "/json", {"content": b'"\\ud800"'}, 422, "invalid_request"),
        ("POST", "/form", BROKEN_FORM, 422, "invalid_request"),
        ("POST", "/form", {"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, "request_refused"),
        ("POST", "/form", {"files": [("f", (f"{number}", b"")) for number in range(1001)]}, 413, "body_too_large"),
        ("POST", "/form", {"data": {f"f{number}": "" for number in range(1001)}, "files": {"x": b""}}, 413, "body_too_large"),
        ("GET", "/reload", {}, 403, "disabled"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_request_is_refused_with_a_code(method, path, request_, status, code):
    headers = {} if "files" in request_ else {"content-type": "application/json"}
    answer = asked(app, method, path, **{"headers": headers, **request_})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert {"code", "message", "request_id"} <= set(answer.json()) <= {"code", "message", "field", "request_id"}


def test_a_message_that_repeats_half_a_character_is_still_json():
    answer = asked(app, "POST", "/json?number=1", content=json.dumps({"\ud800": 1}), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 422)


def test_an_answer_that_breaks_off_is_logged_without_the_name_of_its_file(caplog):
    sent = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/stream", "query_string": b"", "headers": [(b"host", b"localhost")], "server": None}
    asyncio.run(app(scope, receive, send))
    assert [message.get("body") for message in sent] == [None, b"first"]  # no last part: the connection is cut
    (failed,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "OSError" in failed.message
    assert PATIENT not in caplog.text


def test_a_disk_that_fills_up_while_a_body_is_read_is_no_malformed_body(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("starlette.datastructures.UploadFile.write", full)
    answer = asked(app, "POST", "/body-breaks", files={"file": b"x" * 100})
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
