"""The policy of routes: least roles, nothing by default."""

import pytest

from headct_molre.errors import HeadCTError
from headct_molre.readers import ROLES, allows
from headct_molre.server.roles import OPEN, POLICY, least_role


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/", "reader"),
        ("GET", "/info/", "reader"),
        ("GET", "/info", "reader"),
        ("HEAD", "/info/", "reader"),
        ("POST", "/infer/demo", "reader"),
        ("POST", "/infer/wsi/demo", "admin"),
        ("GET", "/headct/studies/a-study", "reader"),
        ("GET", "/headct/studies/*", "reader"),
        ("GET", "/datastore/", "reader"),
        ("DELETE", "/datastore/", "admin"),
        ("POST", "/train/demo", "trainer"),
        ("POST", "/proxy/dicom/qido/a/b/c", "admin"),
        ("GET", "/headct/health", None),
        ("HEAD", "/headct/health", None),
        ("GET", "/auth/", None),
        ("POST", "/auth/token", None),
        ("GET", "/auth/token/valid", "reader"),
    ],
)
def test_each_route_needs_its_role(method, path, role):
    assert least_role(method, path) == role


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/headct",
        "/headct/",
        "/headct/other",
        "/headct/studies//label",
        "//headct/health",
        "/headct//health",
        "/headct/health/x",
        "/headct/health%2f",
        "/headct/studies/a/../b",
        "/infer/",
        "/infer/a/b",
        "/INFO/",
        "/info/x",
        "/auth/token/valid/x",
        "headct/health",
        "*",
        "",
    ],
)
def test_what_is_not_listed_is_not_served_to_anybody(path):
    for method in ("GET", "POST", "DELETE"):
        with pytest.raises(HeadCTError) as error:
            least_role(method, path)
        assert (error.value.status, error.value.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/info/"), ("get", "/info/"), ("OPTIONS", "/headct/health"), ("DELETE", "/auth/token")]
)
def test_a_method_that_is_not_listed_is_not_served_either(method, path):
    with pytest.raises(HeadCTError) as error:
        least_role(method, path)
    assert (error.value.status, error.value.code) == (405, "method_not_allowed")


def test_roles_are_a_ladder():
    assert [[allows(role, least) for least in ROLES] for role in ROLES] == [[True, False, False], [True, True, False], [True, True, True]]


def test_no_route_is_listed_twice():
    entries = [entry for part in (*POLICY.values(), OPEN) for entry in part]
    assert len(entries) == len(set(entries))
