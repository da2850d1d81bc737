"""Pages of other web sites: closed by default, opened for named origins only."""

import pytest
from fastapi import FastAPI

from app_shell import asked, shelled
from headct_molre.server.config import ServerConfig

VIEWER = "https://viewer.example.org"
routes = FastAPI()


@routes.api_route("/x", methods=["GET", "POST", "DELETE"])
def answer() -> int:
    return 1


closed = shelled(routes)
opened = shelled(routes, ServerConfig(cors_origins=(VIEWER,)))
FOREIGN = ["https://elsewhere.example", "null", f"{VIEWER}.evil.example", VIEWER.replace("https", "http"), f"{VIEWER}:8443", ""]


def preflight(app, origin, method="POST", headers="content-type"):
    request = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    return asked(app, "OPTIONS", "/x", headers=request)


@pytest.mark.parametrize("app", [closed, opened])
@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_changes_nothing_and_reads_nothing(app, origin):
    for method in ("POST", "DELETE", "BREW"):
        refused = asked(app, method, "/x", headers={"origin": origin})
        assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
    assert preflight(app, origin).status_code == 403
    read = asked(app, "GET", "/x", headers={"origin": origin})
    assert not {name for name in read.headers if name.startswith("access-control")}


@pytest.mark.parametrize("app", [closed, opened])
def test_the_servers_own_pages_and_other_programs_may(app):
    assert asked(app, "POST", "/x", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200
    assert asked(app, "POST", "/x").status_code == 200


def test_a_named_origin_may_with_a_token_and_without_credentials():
    allowed = preflight(opened, VIEWER, headers="authorization,content-type")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == VIEWER
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    answer = asked(opened, "POST", "/x", headers={"origin": VIEWER})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, VIEWER)
    assert "access-control-allow-credentials" not in {**allowed.headers, **answer.headers}


def test_a_page_of_a_named_origin_may_read_why_it_was_refused():
    answer = asked(opened, "POST", "/x", headers={"origin": VIEWER}, content=b"x" * 1_000_001)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (413, VIEWER)
