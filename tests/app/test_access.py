"""Every request: its id, its line in the log, its measurement, the headers of its answer."""

import asyncio
import json
import logging
from types import SimpleNamespace

import pytest
from fastapi import FastAPI, Request

from app_shell import asked, shelled
from headct_molre.server.pseudonym import pseudonym
from headct_molre.server.request_id import REQUEST_ID
from lib.logs import JsonLines, TextLines
from lib.metrics import exposition

routes = FastAPI()


@routes.get("/studies/{study}")
def study(study: str, request: Request) -> str | None:
    request.scope["state"]["principal"] = SimpleNamespace(reader="anna")
    logging.getLogger("headct_molre.test").info("in a thread")
    return REQUEST_ID.get()


@routes.post("/body")
async def body(request: Request) -> int:
    return len(await request.body())


app = shelled(routes)


def line(caplog):
    (record,) = [record for record in caplog.records if record.name == "headct_molre.access"]
    return record


@pytest.mark.parametrize("given", ["0123456789abcdef", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "A" * 64])
def test_a_well_formed_id_is_kept(given):
    answer = asked(app, "GET", "/studies/x", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == answer.json() == given


@pytest.mark.parametrize("given", [None, "", "0123456", "MILLER-JOHN-1961-11-12", "0123 4567 89ab cdef", "a" * 65, "0123456789abcdeä"])
def test_any_other_id_is_replaced(given):
    headers = {} if given is None else {"x-request-id": given.encode()}
    answer = asked(app, "GET", "/studies/x", headers=headers)
    assert answer.headers["x-request-id"] == answer.json() != given
    assert len(answer.json()) == 16


def test_the_line_has_the_template_of_the_route_and_a_pseudonym_of_the_reader(caplog):
    caplog.set_level("INFO", "headct_molre")
    asked(app, "GET", "/studies/MILLER-1961?comment=MILLER", headers={"x-request-id": "0123456789abcdef-01"})
    fields = dict(line(caplog).fields)
    assert fields.pop("ms") >= 0
    assert fields == {
        "method": "GET", "route": "/studies/{study}", "status": 200, "bytes_in": 0, "bytes_out": 21, "reader": pseudonym("anna"),
    }  # fmt: skip
    assert "MILLER" not in str([record.__dict__ for record in caplog.records if record.name.startswith("headct")])


def test_a_path_that_no_route_has_is_not_logged(caplog):
    caplog.set_level("INFO", "headct_molre")
    asked(app, "GET", "/MILLER-1961")
    assert (line(caplog).fields["route"], line(caplog).fields["status"]) == ("unmatched", 404)


def test_bytes_are_counted_in_both_directions(caplog):
    caplog.set_level("INFO", "headct_molre")
    asked(app, "POST", "/body", content=b"x" * 1000)
    assert (line(caplog).fields["bytes_in"], line(caplog).fields["bytes_out"]) == (1000, 4)


def test_every_answer_has_the_headers_that_keep_it_private():
    for path in ("/studies/x", "/nowhere", "/reload"):
        headers = asked(app, "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_a_client_that_leaves_is_noted_and_makes_no_noise(caplog):
    caplog.set_level("INFO")
    scope = {"type": "http", "method": "POST", "path": "/body", "query_string": b"", "headers": [(b"host", b"localhost")], "server": None}
    sent = []

    async def leave():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, leave, send))
    assert line(caplog).fields["status"] == 499
    assert [record.name for record in caplog.records] == ["headct_molre.access"]


def test_requests_are_measured_by_template_and_known_methods_only():
    for path in ("/studies/measured-1", "/studies/measured-2"):
        asked(app, "GET", path)
    asked(app, "BREW", "/studies/measured-3")
    text = exposition()[0].decode()
    assert "measured-" not in text
    assert "BREW" not in text
    assert 'headct_request_seconds_count{method="OTHER",route="/studies/{study}",status="405"}' in text
    assert 'headct_request_seconds_bucket{le="0.1",method="GET",route="/studies/{study}",status="200"}' in text


def record(name, message, *values, **more):
    return logging.LogRecord(name, logging.WARNING, "/somewhere/endpoints/infer.py", 7, message, values, more.get("exc_info"))


def test_a_line_of_json_has_what_a_machine_needs():
    token = REQUEST_ID.set("0123456789abcdef-01")
    entry = record("headct_molre.server", "ready")
    entry.fields = {"models": "demo"}
    document = json.loads(JsonLines().format(entry))
    REQUEST_ID.reset(token)
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "warning", "logger": "headct_molre.server", "message": "ready", "request_id": "0123456789abcdef-01", "models": "demo",
    }  # fmt: skip


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_other_loggers_say_where_and_never_what(formatter):
    try:
        raise ValueError("MILLER^JOHN"[:])
    except ValueError as error:
        entry = record("monailabel.endpoints.infer", "Infer Request: %s", {"image": "MILLER-1961"}, exc_info=(type(error), error, None))
    line = formatter.format(entry)
    assert "MILLER" not in line
    assert "infer.py:7" in line
    assert "ValueError" in line


def test_a_line_of_text_is_one_line():
    entry = record("headct_molre.server", "ready")
    entry.fields = {"models": "demo", "version": "1"}
    line = TextLines().format(entry)
    assert line.endswith("warning headct_molre.server ready models=demo version=1")
