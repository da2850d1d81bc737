"""The keys of an issuer: fetched when they are needed, no more often, from nowhere else, and kept while it is down."""

import pytest

from certificates import self_signed
from headct_molre.server.issuer import RETRY_S, IssuerKeys
from oidc_issuer import Issuer, new_key, published, refused, verifier

DISCOVERY, CERTS = "/realms/hospital/.well-known/openid-configuration", "/realms/hospital/certs"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def verify(issuer):
    return verifier(issuer).verify


def test_keys_are_fetched_once_and_again_when_the_issuer_rotates_them(issuer):
    clock = Clock()
    verify = verifier(issuer, IssuerKeys(issuer.url, clock)).verify
    for _ in range(5):
        verify(issuer.token())
    assert len(issuer.requests) == 2  # discovery and keys
    rotated = new_key()
    issuer.keys = [published(rotated, "RS256", "key-2")]
    clock.now += RETRY_S
    assert verify(issuer.token(rotated, kid="key-2")).reader == "anna"
    assert len(issuer.requests) == 4
    refused(verify, issuer.token())  # the key that was withdrawn


def test_tokens_with_random_key_ids_do_not_hammer_the_issuer(issuer):
    clock = Clock()
    verify = verifier(issuer, IssuerKeys(issuer.url, clock)).verify
    for number in range(50):
        refused(verify, issuer.token(kid=f"random-{number}"))
        clock.now += 0.1
    assert len(issuer.requests) == 2
    clock.now += RETRY_S
    refused(verify, issuer.token(kid="random-50"))
    assert len(issuer.requests) == 4


def test_a_withdrawn_key_is_noticed_after_five_minutes_without_an_unknown_one(issuer):
    clock = Clock()
    verify = verifier(issuer, IssuerKeys(issuer.url, clock)).verify
    token = issuer.token()
    verify(token)
    issuer.keys = [published(new_key(), "RS256", "key-2")]
    clock.now += 299
    verify(token)
    clock.now += 1
    refused(verify, token)


def test_while_the_issuer_is_down_known_keys_go_on_working_and_it_is_found_again(issuer):
    clock = Clock()
    verify = verifier(issuer, IssuerKeys(issuer.url, clock)).verify
    verify(issuer.token())
    issuer.stop()
    try:
        clock.now += 3600
        assert verify(issuer.token()).reader == "anna"
        clock.now += RETRY_S
        error = refused(verify, issuer.token(kid="key-2"), "issuer_unreachable")
        assert error.status == 503
    finally:
        issuer.start()
    refused(verify, issuer.token(kid="key-2"), "issuer_unreachable")  # not asked again so soon
    clock.now += RETRY_S
    issuer.keys.append(published(issuer.key, "RS256", "key-2"))
    assert verify(issuer.token(kid="key-2")).reader == "anna"


def test_an_issuer_that_is_down_from_the_start_is_no_fault_of_the_token(issuer, verify):
    token = issuer.token()
    issuer.stop()
    try:
        assert refused(verify, token, "issuer_unreachable").status == 503
    finally:
        issuer.start()


def test_an_https_issuer_is_believed_only_with_a_certificate_that_is_trusted_here(tmp_path, monkeypatch):
    pair = self_signed(tmp_path)
    issuer = Issuer(tls=pair)
    try:
        token = issuer.token()
        refused(verifier(issuer).verify, token, "issuer_unreachable")
        assert issuer.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))  # how an operator names the authority of the hospital
        assert verifier(issuer).verify(token).reader == "anna"
    finally:
        issuer.stop()


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        (DISCOVERY, (500, {}, b""), "issuer_unreachable"),
        (DISCOVERY, (200, {}, b"<html>"), "issuer_invalid"),
        (DISCOVERY, (200, {}, b"[" * 100_000), "issuer_invalid"),
        (CERTS, (404, {}, b""), "issuer_unreachable"),
        (CERTS, (200, {}, b"[]"), "issuer_invalid"),
        (CERTS, (200, {}, b'{"keys": 7}'), "issuer_invalid"),
        (CERTS, (200, {}, b" " * 1_000_001), "issuer_invalid"),
    ],
)
def test_an_issuer_that_answers_nonsense_is_not_believed(issuer, verify, path, answer, code):
    issuer.answers[path] = answer
    assert refused(verify, issuer.token(), code).status == 503


def test_redirects_are_not_followed(issuer, verify):
    issuer.answers["/moved"] = issuer.answer(DISCOVERY)
    issuer.answers[DISCOVERY] = (302, {"Location": "/moved"}, b"")
    refused(verify, issuer.token(), "issuer_unreachable")
    assert "/moved" not in issuer.requests


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example"},
        {"jwks_uri": "http://elsewhere.example/certs"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
    ],
)
def test_a_discovery_document_may_not_lead_elsewhere(issuer, verify, discovery):
    issuer.discovery = discovery
    refused(verify, issuer.token(), "issuer_invalid")
