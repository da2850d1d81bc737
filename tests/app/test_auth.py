"""The gatekeeper around a small application: who gets in, who does not, and that nothing blocks the event loop."""

import asyncio
import threading
import time

import httpx
import pytest
from fastapi import FastAPI, Request

from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.server.authenticator import Authenticator
from headct_molre.server.principal import Principal, forbidden, unauthenticated

PRINCIPALS = {role: Principal(f"the {role}", role) for role in ("reader", "trainer", "admin")}
ROUTES = [
    ("GET", "/info/", "reader"),
    ("POST", "/train/demo", "trainer"),
    ("DELETE", "/datastore/image", "admin"),
]


def verify(token):
    if token == "store-down":
        raise StoreUnavailable("store_unreachable", "down")
    if token == "no-role":
        raise forbidden("The token names no role.")
    if token not in PRINCIPALS:
        raise unauthenticated("The token is not known.")
    return PRINCIPALS[token]


@pytest.fixture
def seen():
    return []


@pytest.fixture
def guarded(seen):
    """The application behind Authentication; `seen` gets what reached it."""
    from lib.auth import Authentication
    from lib.errors import install_error_handlers
    from lib.principal import is_trusted, principal_of, reader_of

    app = FastAPI()
    install_error_handlers(app)

    @app.get("/auth/token/valid")
    def reader(request: Request, named: str | None = None) -> dict:
        return {"reader": reader_of(request, named), "trusted": is_trusted(request)}

    @app.get("/headct/health")
    def health(request: Request, act: bool = False) -> dict:
        return {"trusted": is_trusted(request), "reader": reader_of(request, None) if act else None}

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
    def anything(request: Request, path: str) -> dict:
        seen.append((request.method, path))
        principal = principal_of(request)
        return {"reader": principal and principal.reader}

    return lambda authenticator=None: Authentication(app, authenticator)


@pytest.fixture
def call(guarded):
    app = guarded(Authenticator(verify))

    def send(method, path, token=None, headers=(), **more):
        headers = [*headers, *([("authorization", f"Bearer {token}")] if token is not None else [])]
        return request(app, method, path, headers=headers, **more)

    return send


def request(app, method, path, **more):
    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, path, **more)

    return asyncio.run(ask())


@pytest.mark.parametrize(("method", "path", "least"), ROUTES)
def test_a_role_reaches_what_it_may_and_no_more(call, seen, method, path, least):
    order = list(PRINCIPALS)
    for role in order:
        answer = call(method, path, role)
        if order.index(role) >= order.index(least):
            assert (answer.status_code, answer.json()["reader"]) == (200, f"the {role}")
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert least in answer.json()["message"]
    assert len(seen) == len(order) - order.index(least)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "reader")],
        [("authorization", "Basic cmVhZGVyOnJlYWRlcg==")],
        [("authorization", "Token reader")],
        [("authorization", "Bearer reader admin")],
        [("authorization", "Bearer reader,admin")],
        [("authorization", "Bearer nobody")],
        [("authorization", "Bearer r\u00e9ader".encode())],
        [("authorization", "Bearer reader"), ("authorization", "Bearer reader")],
        [("x-authorization", "Bearer reader")],
        [("cookie", "authorization=Bearer reader; token=reader")],
    ],
)
def test_without_one_good_token_nobody_gets_in(call, seen, headers):
    for method, path in (("GET", "/info/"), ("GET", "/info/?token=reader&access_token=reader"), ("GET", "/nothing"), ("PATCH", "/info/")):
        answer = call(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert seen == []


def test_the_scheme_is_read_in_any_case(call):
    assert call("GET", "/info/", headers=[("Authorization", "bearer  reader")]).status_code == 200


def test_a_route_that_is_not_listed_reaches_nobody(call, seen):
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PATCH", "/info/", 405),
        ("OPTIONS", "/info/", 405),
        ("GET", "/headct//health", 404),
    ):
        assert call(method, path, "admin").status_code == status
    assert seen == []


def test_an_encoded_path_is_judged_as_it_is_routed(call, seen):
    assert call("GET", "/%69nfo/", "reader").status_code == 200
    assert call("DELETE", "/datastore%2fimage", "reader").status_code == 403
    assert call("DELETE", "/datastore/%69mage", "trainer").status_code == 403
    assert seen == [("GET", "info/")]


def test_open_routes_answer_without_a_token_with_a_wrong_one_and_when_nothing_can_be_checked(call):
    for token in (None, "nobody", "store-down", "no-role"):
        assert call("GET", "/headct/health", token).json() == {"trusted": False, "reader": None}
    assert call("GET", "/headct/health", "reader").json() == {"trusted": True, "reader": None}


def test_on_an_open_route_nobody_acts_without_a_token(call):
    assert call("GET", "/headct/health?act=true").json()["code"] == "unauthenticated"


def test_a_store_that_is_down_is_not_the_fault_of_the_token(call):
    answer = call("GET", "/info/", "store-down")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unreachable")
    assert "www-authenticate" not in answer.headers


def test_a_known_person_without_a_role_is_forbidden(call, seen):
    assert call("GET", "/info/", "no-role").json()["code"] == "forbidden"
    assert seen == []


def test_the_reader_is_the_tokens_and_another_cannot_be_named_even_by_an_admin(call):
    assert call("GET", "/auth/token/valid", "reader").json()["reader"] == "the reader"
    assert call("GET", "/auth/token/valid?named=the reader", "reader").json()["reader"] == "the reader"
    for token in PRINCIPALS:
        answer = call("GET", "/auth/token/valid?named=somebody", token)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (403, "other_reader", "reader")


def test_without_authentication_the_reader_is_whoever_is_named(guarded):
    app = guarded()
    assert request(app, "GET", "/auth/token/valid?named=anna").json() == {"reader": "anna", "trusted": True}
    for query, code in (
        ("", "reader_missing"),
        ("?named=", "reader_missing"),
        ("?named=%20anna", "invalid_reader"),
        ("?named=a%00", "invalid_reader"),
    ):
        answer = request(app, "GET", f"/auth/token/valid{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert request(app, "PATCH", "/nothing").status_code == 200  # no policy where everybody is the operator


def test_a_principal_of_the_outer_application_is_not_believed(guarded):
    """The state of a request comes from the server; a client cannot set it, and an open route clears it."""
    app = guarded(Authenticator(verify))
    answers = []

    async def ask():
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/headct/health",
            "headers": [],
            "query_string": b"",
            "state": {"principal": PRINCIPALS["admin"]},
        }

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            answers.append(message)

        await app(scope, receive, send)

    asyncio.run(ask())
    assert b'"trusted":false' in answers[1]["body"]


def test_a_slow_check_blocks_nobody_else(guarded):
    """One token waits for the issuer; meanwhile others get in, and open routes answer."""
    free = threading.Event()

    def slow(token):
        if token == "slow":
            assert free.wait(10)
        return PRINCIPALS["reader"]

    app = guarded(Authenticator(slow))

    async def walk():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            waiting = asyncio.create_task(client.get("/info/", headers={"authorization": "Bearer slow"}))
            await asyncio.sleep(0.05)
            started = time.monotonic()
            assert (await client.get("/info/", headers={"authorization": "Bearer fast"})).status_code == 200
            assert (await client.get("/headct/health")).status_code == 200
            assert not waiting.done()
            assert time.monotonic() - started < 5
            free.set()
            assert (await waiting).status_code == 200

    asyncio.run(walk())


def test_web_sockets_are_closed(guarded):
    app = guarded(Authenticator(verify))
    answers = []

    async def ask():
        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            answers.append(message)

        await app({"type": "websocket", "path": "/", "headers": []}, receive, send)

    asyncio.run(ask())
    assert [answer["type"] for answer in answers] == ["websocket.close"]


def test_a_refusal_is_logged_once_a_minute_for_an_address_and_without_either(call, caplog):
    for number in range(20):
        call("GET", "/info/", f"canary-token-{number}")
    lines = [record for record in caplog.records if "good token" in record.getMessage()]
    assert len(lines) == 1
    logged = str([vars(record) for record in caplog.records])
    assert "canary-token" not in logged
    assert "127.0.0.1" not in str(lines[0].fields)
