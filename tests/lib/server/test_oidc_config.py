"""What an operator may write about an issuer, and that an open door is refused before anything starts."""

import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.server.config import load_server_config

GOOD = {"issuer": "https://login.hospital.example/realms/ct", "audience": "headct"}


def load(oidc=None, **settings):
    return load_server_config({**settings, **({} if oidc is None else {"auth": "oidc", "oidc": oidc})}, environ={})


@pytest.mark.parametrize(
    "issuer",
    [GOOD["issuer"], "https://hospital.eu.auth0.com/", "http://127.0.0.1:8080/realms/ct", "http://localhost:8080", "http://[::1]:8080"],
)
def test_an_issuer_is_https_or_on_this_machine(issuer):
    assert load(GOOD | {"issuer": issuer}).oidc.issuer == issuer


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"issuer": "http://login.hospital.example"}, "oidc.issuer"),
        ({"issuer": "http://127.0.0.1.example.org"}, "oidc.issuer"),
        ({"issuer": "http://localhost.example.org"}, "oidc.issuer"),
        ({"issuer": "https://user:password@login.hospital.example"}, "oidc.issuer"),
        ({"issuer": "https://login.hospital.example?realm=ct"}, "oidc.issuer"),
        ({"issuer": "https://login.hospital.example#ct"}, "oidc.issuer"),
        ({"issuer": "file:///etc/passwd"}, "oidc.issuer"),
        ({"issuer": "login.hospital.example"}, "oidc.issuer"),
        ({"issuer": ""}, "oidc.issuer"),
        ({"audience": ""}, "oidc.audience"),
        ({"algorithms": []}, "oidc.algorithms"),
        ({"algorithms": ["none"]}, "oidc.algorithms.0"),
        ({"algorithms": ["RS256", "HS256"]}, "oidc.algorithms.1"),
        ({"leeway_s": 301}, "oidc.leeway_s"),
        ({"role_admin": ""}, "oidc.role_admin"),
        ({"role_admin": "headct-reader"}, "oidc"),
        ({"verify": False}, "oidc.verify"),
    ],
)
def test_what_would_let_anybody_in_is_refused_with_its_field(changes, field):
    with pytest.raises(InvalidRequest) as error:
        load(GOOD | changes)
    assert (error.value.code, error.value.field) == ("invalid_setting", field)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "ct.hospital.example", "127.0.0.1,0.0.0.0"])
def test_without_authentication_the_server_listens_on_this_machine_only(host):
    with pytest.raises(InvalidRequest) as error:
        load(host=host)
    assert "auth" in error.value.message
    assert load(host=host, auth="tokens").auth == "tokens"


def test_an_issuer_without_auth_oidc_is_refused():
    for settings in ({"oidc": None, "auth": "oidc"}, {"oidc": GOOD, "auth": "tokens"}):
        with pytest.raises(InvalidRequest):
            load_server_config(settings, environ={})
