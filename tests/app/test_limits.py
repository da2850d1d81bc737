"""Bytes, time and number: a request that asks for too much is refused before it has it."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request, UploadFile

from app_shell import asked, shelled
from headct_molre.server.config import ServerConfig
from lib.limits import check_space

routes = FastAPI()
SCOPE = {"type": "http", "query_string": b"", "headers": [(b"host", b"localhost")], "scheme": "http", "root_path": "", "server": None}


@routes.post("/body")
@routes.put("/session/")
async def body(request: Request) -> int:
    return sum([len(part) async for part in request.stream()])


@routes.put("/datastore/image")
def image(file: UploadFile) -> int:
    return len(file.file.read())


@routes.get("/wait")
async def wait() -> None:
    await routes.state.free.wait()


@routes.get("/headct/health")
def health() -> None:
    pass


config = ServerConfig(upload_mb=2, concurrent_requests=2, free_disk_mb=0)
app = shelled(routes, config)


def chunks(total):
    async def parts():
        for _ in range(total // 10_000):
            yield b"x" * 10_000

    return parts()


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "limit"), [("POST", "/body", 1_000_000), ("PUT", "/session/", 2_000_000), ("PUT", "/datastore/image", 2_000_000)]
)
def test_a_body_has_a_limit_by_its_route_whether_it_says_its_length_or_not(method, path, limit, in_chunks):
    headers = {"content-type": "multipart/form-data; boundary=x"} if path == "/datastore/image" else {}
    if path != "/datastore/image":
        content = chunks(limit) if in_chunks else b"x" * limit
        assert asked(app, method, path, content=content).json() == limit
    content = chunks(limit + 10_000) if in_chunks else b"x" * (limit + 1)
    if path == "/datastore/image" and in_chunks:
        content = multipart(limit)
    refused = asked(app, method, path, content=content, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large"), refused.text


def multipart(total):
    async def parts():
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.nii"\r\n\r\n'
        async for part in chunks(total):
            yield part
        yield b"\r\n--x--\r\n"

    return parts()


def test_an_upload_that_the_disk_has_no_room_for_is_refused_before_it_comes(tmp_path):
    small = shelled(routes, ServerConfig(studies=tmp_path, upload_mb=10**9, free_disk_mb=10**9))
    for content in (b"x", chunks(10_000)):
        refused = asked(small, "PUT", "/session/", content=content)
        assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
    assert asked(small, "POST", "/body", content=b"x").status_code == 200
    check_space(tmp_path / "missing", 1, 1)


def drip(app, pause_s):
    """The answer to a body that comes byte by byte, for at most three seconds."""

    async def scenario():
        sent = []

        async def receive():
            await asyncio.sleep(pause_s)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message):
            sent.append(message)

        await asyncio.wait_for(app(SCOPE | {"method": "POST", "path": "/body"}, receive, send), 3)
        return sent[0]["status"]

    return asyncio.run(scenario())


@pytest.mark.parametrize("pause_s", [0.02, 60.0])
def test_a_slow_sender_is_cut_off(pause_s):
    assert drip(shelled(routes, config, grace_s=0.3), pause_s) == 408


def test_too_many_at_once_are_told_to_come_again_and_health_is_still_answered():
    async def scenario():
        routes.state.free = asyncio.Event()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            working = [asyncio.create_task(client.get("/wait")) for _ in range(2)]
            await asyncio.sleep(0.1)
            refused, well = await client.get("/wait"), await client.get("/headct/health")
            routes.state.free.set()
            done = [(await task).status_code for task in working]
            again = (await client.get("/wait")).status_code
        return refused, well.status_code, done, again

    refused, well, done, again = asyncio.run(scenario())
    assert (refused.status_code, refused.json()["code"]) == (503, "too_busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert (well, done, again) == (200, [200, 200], 200)
