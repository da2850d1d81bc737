"""The bridge: blocking handlers block only their own thread, bodies stream, and a client may leave."""

import asyncio
import threading
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from lib.access import Access
from lib.bridge import ThreadBridge
from lib.errors import install_error_handlers

SCOPE = {"type": "http", "query_string": b"", "headers": [], "root_path": "", "scheme": "http"}

inner = FastAPI()
install_error_handlers(inner)


@inner.get("/meet")
async def meet() -> str:
    inner.state.meeting.wait(30)
    return threading.current_thread().name


@inner.get("/quick")
async def quick() -> None:
    pass


@inner.post("/length")
async def length(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


@inner.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks():
        for _ in range(20):
            yield b"x" * 100_000

    return StreamingResponse(chunks())


@inner.get("/fail")
async def fail() -> None:
    name = "patient"  # apart from the raise, whose line a traceback quotes
    raise ValueError(name)


@contextmanager
def bridged(threads=4):
    bridge = ThreadBridge(inner, threads)
    yield bridge, lambda: httpx.AsyncClient(transport=httpx.ASGITransport(Access(bridge)), base_url="http://test")
    bridge.close()


def test_a_blocking_handler_does_not_stop_the_loop():
    async def scenario(client):
        meeting = threading.Barrier(4)  # three handlers and this loop: it opens only if none of them holds up another
        inner.state.meeting = meeting
        blocked = [asyncio.create_task(client.get("/meet")) for _ in range(3)]
        while meeting.n_waiting < 3:
            await asyncio.sleep(0.01)
        meeting.wait(5)
        return [(await task).json() for task in blocked]

    with bridged() as (_, client):
        answers = asyncio.run(asyncio.wait_for(scenario(client()), 30))
    assert len(set(answers)) == 3
    assert all(name.startswith("monailabel") for name in answers)


def test_bodies_cross_in_both_directions():
    async def scenario(client):
        async def upload():
            for _ in range(10):
                yield b"y" * 65_536

        sent = (await client.post("/length", content=upload())).json()
        return sent, len((await client.get("/stream")).content)

    with bridged() as (_, client):
        assert asyncio.run(scenario(client())) == (10 * 65_536, 20 * 100_000)


def test_a_large_body_is_refused():
    application = FastAPI()
    install_error_handlers(application)
    application.mount("/", ThreadBridge(inner, max_body=1000))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test")
    response = asyncio.run(client.post("/length", content=bytes(1001)))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_senders_of_endless_bodies_hold_no_thread():
    async def scenario(bridge):
        async def silent():
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(bridge(SCOPE | {"method": "POST", "path": "/length"}, silent, None)) for _ in range(3)]
        await asyncio.sleep(0.1)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(bridge), base_url="http://test") as client:
            status = (await asyncio.wait_for(client.get("/quick"), 5)).status_code
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return status

    with bridged(threads=1) as (bridge, _):
        assert asyncio.run(scenario(bridge)) == 200


def test_an_unexpected_failure_is_answered_without_a_traceback():
    with bridged() as (_, client):
        response = asyncio.run(client().get("/fail"))
    assert response.status_code == 500
    assert set(response.json()) == {"code", "message", "request_id"}
    assert response.json()["code"] == "internal_error"
    assert "patient" not in response.text


def test_the_log_of_a_failure_holds_no_message(caplog):
    with bridged() as (_, client):
        asyncio.run(client().get("/fail"))
    assert "ValueError" in caplog.text
    assert "patient" not in caplog.text


def test_a_cancelled_request_frees_its_thread():
    """The client takes nothing of the answer; without the cancellation the handler's thread would wait for ever."""

    async def scenario(bridge):
        async def whole():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def stuck(message):
            await asyncio.Event().wait()

        task = asyncio.create_task(bridge(SCOPE | {"method": "GET", "path": "/stream"}, whole, stuck))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with httpx.AsyncClient(transport=httpx.ASGITransport(bridge), base_url="http://test") as client:
            return (await asyncio.wait_for(client.get("/quick"), 5)).status_code

    with bridged(threads=1) as (bridge, _):
        assert asyncio.run(scenario(bridge)) == 200


def test_the_id_of_a_request_and_its_route_cross_the_bridge(caplog):
    caplog.set_level("INFO", "headct_molre.access")
    with bridged() as (_, client):
        response = asyncio.run(client().get("/fail", headers={"x-request-id": "0123456789abcdef-01"}))
    assert response.json()["request_id"] == response.headers["x-request-id"] == "0123456789abcdef-01"
    (line,) = [record for record in caplog.records if record.name == "headct_molre.access"]
    assert (line.fields["route"], line.fields["status"]) == ("/fail", 500)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_body_that_was_announced_and_never_comes_is_not_waited_for(method):
    """As MONAI Label's client does once it is logged in: it repeats the length of the last body in requests without one."""
    answers = []

    async def never():
        await asyncio.Event().wait()

    async def note(message):
        answers.append(message)

    with bridged() as (bridge, _):
        scope = SCOPE | {
            "method": method,
            "path": "/quick",
            "headers": [(b"content-length", b"30"), (b"content-type", b"application/json")],
        }
        asyncio.run(asyncio.wait_for(bridge(scope, never, note), 10))
    assert answers[0]["type"] == "http.response.start"
