"""Every route that is mounted has its line in the policy, and every line has a route."""

import re

import pytest

from headct_molre.errors import HeadCTError
from headct_molre.server.roles import least_role


def mounted(routes):
    """(methods, path) of every route below these, whatever FastAPI wraps them in; an unknown kind fails."""
    for route in routes:
        kind = type(route).__name__
        if kind == "_IncludedRouter":
            assert not route.include_context.prefix
            yield from mounted(route.original_router.routes)
        elif kind == "Mount" and type(route.app).__name__ == "StaticFiles":
            yield {"GET"}, f"{route.path}/file"
        elif kind == "Mount":
            assert type(route.app).__name__ == "ThreadBridge", "a new application needs its routes walked here"
        else:
            assert kind in ("APIRoute", "Route"), kind
            yield route.methods, route.path


@pytest.fixture(scope="module")
def routes():
    from lib import server

    application = server.app
    while hasattr(application, "_app"):
        application = application._app
    found = {(method, path) for app in (application, server.monailabel_app) for methods, path in mounted(app.routes) for method in methods}
    assert {("GET", "/info/"), ("POST", "/headct/submissions"), ("POST", "/auth/token"), ("PUT", "/model/{model}")} <= found
    return sorted(found)


def example(path):
    """A path of a route, with names that no entry of the policy can hold as they are."""
    return re.sub(r"\{[^}]*\}", lambda name: "any-name/any-other" if ":path" in name[0] else "any-name", path)


def test_every_route_has_a_policy(routes):
    missing = []
    for method, path in routes:
        try:
            least_role(method, example(path))
        except HeadCTError:
            missing.append(f"{method} {path}")
    assert missing == [], "list them in headct_molre.server.roles"


def test_open_is_what_says_nothing_about_studies_and_readers(routes):
    open_routes = {f"{method} {path}" for method, path in routes if least_role(method, example(path)) is None}
    assert open_routes == {"GET /headct/health", "GET /auth/", "POST /auth/token"}


def test_what_deletes_or_loads_code_needs_an_admin(routes):
    for method, path in routes:
        if (method == "DELETE" and path.startswith(("/datastore", "/model"))) or path.startswith(("/reload", "/proxy", "/ohif", "/logs")):
            assert least_role(method, example(path)) == "admin", (method, path)
