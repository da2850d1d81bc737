"""Access tokens of a real issuer: what a good one says is believed, and every known way to forge one is refused."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from headct_molre.errors import HeadCTError
from headct_molre.server.config import OidcConfig
from headct_molre.server.issuer import RETRY_S, IssuerKeys
from headct_molre.server.oidc import OidcVerifier
from headct_molre.server.principal import Principal
from oidc_issuer import Issuer, new_key, published


@pytest.fixture
def verify(issuer):
    return verifier(issuer).verify


def verifier(issuer, keys=None, **settings):
    return OidcVerifier(OidcConfig(issuer=issuer.url, audience="headct", **settings), keys)


def refused(verify, token, code="unauthenticated"):
    with pytest.raises(HeadCTError) as error:
        verify(token)
    assert error.value.code == code, error.value.message
    return error.value


def encoded(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def test_a_good_token_names_its_reader_role_and_subject(issuer, verify):
    assert verify(issuer.token()) == Principal("anna", "reader", subject="0f1e")


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_each_algorithm_that_is_allowed_verifies(issuer, algorithm):
    key = new_key(algorithm)
    issuer.keys.append(published(key, algorithm, "other"))
    token = issuer.token(key, algorithm, "other")
    assert verifier(issuer, algorithms=(algorithm,)).verify(token).reader == "anna"
    if algorithm != "RS256":
        refused(verifier(issuer).verify, token)  # only RS256 is allowed by default


def test_a_key_without_alg_serves_every_allowed_algorithm_of_its_type(issuer):
    issuer.keys = [{name: value for name, value in issuer.keys[0].items() if name not in ("alg", "use")}]
    allowed = verifier(issuer, algorithms=("RS256", "PS512"))
    assert allowed.verify(issuer.token(algorithm="PS512")).reader == "anna"
    assert allowed.verify(issuer.token(algorithm="RS256")).reader == "anna"


def test_a_key_serves_no_other_algorithm_than_its_own(issuer):
    refused(verifier(issuer, algorithms=("RS256", "PS256")).verify, issuer.token(algorithm="PS256"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": int(time.time()) - 31}, "expired"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"iat": int(time.time()) + 3600}, "not valid yet"),
        ({"aud": "another-server"}, "audience"),
        ({"aud": ["another-server", "account"]}, "audience"),
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"exp": None}, "lacks a claim"),
        ({"aud": None}, "lacks a claim"),
        ({"iss": None}, "lacks a claim"),
        ({"sub": None}, "lacks a claim"),
        ({"preferred_username": None}, "preferred_username"),
        ({"preferred_username": ""}, "preferred_username"),
        ({"preferred_username": "a" * 129}, "preferred_username"),
        ({"preferred_username": "anna\n"}, "preferred_username"),
        ({"preferred_username": ["anna"]}, "preferred_username"),
    ],
)
def test_a_claim_that_is_wrong_or_missing_is_refused_with_its_reason(issuer, verify, changes, said):
    assert said in refused(verify, issuer.token(**changes)).message


def test_within_the_leeway_clocks_may_differ(issuer, verify):
    now = int(time.time())
    assert verify(issuer.token(exp=now - 20)).reader == "anna"
    assert verify(issuer.token(nbf=now + 20)).reader == "anna"
    refused(verifier(issuer, leeway_s=0).verify, issuer.token(exp=now - 20))


def test_one_audience_among_several_is_enough(issuer, verify):
    assert verify(issuer.token(aud=["account", "headct"])).reader == "anna"


def test_a_token_without_a_signature_is_refused(issuer, verify):
    for algorithm in ("none", "None", "NONE", ""):
        refused(verify, f"{encoded({'alg': algorithm, 'kid': 'key-1'})}.{encoded(issuer.claims())}.")
    refused(verify, jwt.encode(issuer.claims(), None, "none", {"kid": "key-1"}))


def test_a_token_signed_with_the_public_key_as_a_password_is_refused(issuer):
    """The confusion of RS256 and HS256; PyJWT would not sign with a PEM, so the signature is made by hand."""
    import hashlib
    import hmac

    public = issuer.key.public_key()
    for secret in (public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), json.dumps(issuer.keys[0]).encode()):
        for header in ({"alg": "HS256", "kid": "key-1"}, {"alg": "RS256", "kid": "key-1"}):
            signed = f"{encoded(header)}.{encoded(issuer.claims())}"
            signature = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
            refused(verifier(issuer).verify, f"{signed}.{signature}")
    with pytest.raises(ValueError, match="algorithms"):
        OidcConfig(issuer=issuer.url, audience="headct", algorithms=("HS256",))
    with pytest.raises(ValueError, match="algorithms"):
        OidcConfig(issuer=issuer.url, audience="headct", algorithms=())


def test_a_symmetric_key_that_an_issuer_publishes_verifies_nothing(issuer, verify):
    issuer.keys = [{"kty": "oct", "k": encoded("secret"), "kid": "key-1"}]
    refused(verify, issuer.token())


@pytest.mark.parametrize("header", [{"jwk": {"kty": "RSA"}}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/keys"}])
def test_a_key_that_the_token_brings_along_is_not_used(issuer, verify, header):
    forged = jwt.encode(issuer.claims(), new_key(), "RS256", {"kid": "key-1", **header})
    refused(verify, forged)


def test_a_changed_payload_is_refused(issuer, verify):
    header, _, signature = issuer.token().split(".")
    refused(verify, f"{header}.{encoded(issuer.claims(preferred_username='admin'))}.{signature}")


def test_a_token_of_another_issuer_under_the_same_key_id_is_refused(issuer, verify):
    other = Issuer(new_key())
    try:
        refused(verify, other.token())  # says so itself
        refused(verify, other.token(iss=issuer.url))  # claims to be of ours
    finally:
        other.stop()


@pytest.mark.parametrize(("algorithm", "made_for"), [("RS256", "ES256"), ("ES256", "RS256"), ("ES256", "ES384"), ("EdDSA", "ES256")])
def test_a_key_of_the_wrong_type_verifies_nothing(issuer, algorithm, made_for):
    issuer.keys = [published(new_key(made_for), made_for, "key-1", alg=algorithm)]
    refused(verifier(issuer, algorithms=("RS256", "ES256", "EdDSA")).verify, issuer.token(new_key(algorithm), algorithm))


def test_a_short_rsa_key_verifies_nothing(issuer, verify):
    short = new_key(bits=1024)
    issuer.keys = [published(short, "RS256", "key-1")]
    with pytest.warns(jwt.InsecureKeyLengthWarning):  # of the test's own signing
        token = issuer.token(short)
    refused(verify, token)


@pytest.mark.parametrize("changed", [{"use": "enc"}, {"kid": None}, {"n": "AQ"}, {"e": None}, {"n": "?"}])
def test_a_damaged_key_or_one_for_another_use_verifies_nothing(issuer, verify, changed):
    issuer.keys = [issuer.keys[0] | changed]
    refused(verify, issuer.token())


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b.c",
        "..",
        "e30.e30.e30",
        "a" * 10_000,
        "é.é.é",
        encoded({"alg": ["RS256"], "kid": "key-1"}) + ".e30.",
        encoded([]) + ".e30.",
    ],
)
def test_what_is_no_token_is_refused(verify, token):
    refused(verify, token)


@pytest.mark.parametrize(
    "headers", [{"kid": "key-1", "crit": ["exp"], "exp": 1}, {"kid": "key-1", "typ": "logout+jwt"}, {}, {"kid": "key-1", "typ": "dpop+jwt"}]
)
def test_a_token_for_another_purpose_or_without_a_key_id_is_refused(issuer, verify, headers):
    refused(verify, jwt.encode(issuer.claims(), issuer.key, "RS256", headers))


def test_an_access_token_may_say_that_it_is_one(issuer, verify):
    assert verify(issuer.token(typ="at+jwt")).reader == "anna"


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("roles", {"roles": ["headct-trainer", "headct-reader"]}, "trainer"),
        ("roles", {"roles": ["other", "headct-admin", "headct-reader"]}, "admin"),
        ("roles", {"roles": "headct-reader"}, "reader"),
        ("realm_access.roles", {"realm_access": {"roles": ["headct-trainer"]}}, "trainer"),
        ("https://hospital.example/roles", {"https://hospital.example/roles": ["headct-admin"]}, "admin"),
        ("roles", {"roles": []}, None),
        ("roles", {"roles": None}, None),
        ("roles", {"roles": ["reader", "admin", "HEADCT-ADMIN", "headct-admin "]}, None),
        ("roles", {"roles": "headct-reader headct-admin"}, None),
        ("roles", {"roles": {"headct-admin": True}}, None),
        ("roles", {"roles": [["headct-admin"], 7, None]}, None),
        ("realm_access.roles", {"realm_access": "headct-admin"}, None),
    ],
)
def test_the_highest_role_that_is_named_holds_and_without_one_nothing_is_allowed(issuer, claim, claims, role):
    verify = verifier(issuer, role_claim=claim).verify
    if role is None:
        error = refused(verify, issuer.token(**claims), "forbidden")
        assert (error.status, claim in error.message) == (403, True)
    else:
        assert verify(issuer.token(**claims)).role == role


def test_names_of_claims_and_roles_are_the_operators(issuer):
    verify = verifier(issuer, reader_claim="sub", role_claim="groups", role_trainer="ct-lab").verify
    assert verify(issuer.token(groups=["ct-lab"])) == Principal("0f1e", "trainer", subject="0f1e")


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


DISCOVERY, CERTS = "/realms/hospital/.well-known/openid-configuration", "/realms/hospital/certs"


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


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now
