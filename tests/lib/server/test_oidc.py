"""Access tokens of a real issuer: what a good one says is believed, and every known way to forge one is refused."""

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from headct_molre.server.config import OidcConfig
from headct_molre.server.principal import Principal
from oidc_issuer import Issuer, new_key, published, refused, verifier


@pytest.fixture
def verify(issuer):
    return verifier(issuer).verify


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
