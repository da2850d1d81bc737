"""A real OpenID Connect issuer on this machine (discovery document, published keys, signed tokens), and a verifier for it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from headct_molre.errors import HeadCTError
from headct_molre.server.config import OidcConfig
from headct_molre.server.issuer import IssuerKeys
from headct_molre.server.oidc import OidcVerifier

_MAKERS = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}


def new_key(algorithm: str = "RS256", bits: int = 2048) -> Any:
    """A private key for an algorithm."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return ec.generate_private_key(curves[algorithm]) if algorithm in curves else rsa.generate_private_key(65537, bits)


@cache
def _usual_key() -> Any:
    """One for all issuers of a test run: a key takes longer to make than all that is done with it."""
    return new_key()


def published(key: Any, algorithm: str, kid: str, **more: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    return json.loads(_MAKERS[algorithm[:2]].to_jwk(key.public_key())) | {"kid": kid, "use": "sig", "alg": algorithm} | more


class Issuer:
    """`keys` is what it publishes, `tls` its certificate and key.

    `discovery` replaces parts of its document, `answers` whole answers; `requests` is what it was asked.
    """

    def __init__(self, key: Any = None, tls: tuple[Path, Path] | None = None) -> None:
        self.tls = tls
        self.requests: list[str] = []
        self.key = key or _usual_key()
        self.keys = [published(self.key, "RS256", "key-1")]
        self.discovery: dict[str, Any] = {}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}  # by path, in the place of the real one
        self.port = 0
        self.start()

    def start(self) -> None:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests.append(self.path)
                status, headers, body = issuer.answers.get(self.path) or issuer.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """It can be started again, at the same address."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/realms/hospital"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        documents = {
            "/realms/hospital/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/certs"} | self.discovery,
            "/realms/hospital/certs": {"keys": self.keys},
        }
        return (200, {}, json.dumps(documents[path]).encode()) if path in documents else (404, {}, b"")

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good access token says; a change to None leaves a claim out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": "headct", "sub": "0f1e", "preferred_username": "anna", "roles": ["headct-reader"]}
        claims |= {"iat": now, "exp": now + 300} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key: Any = None, algorithm: str = "RS256", kid: str | None = "key-1", typ: str = "JWT", **changes: Any) -> str:
        headers = {"typ": typ} | ({} if kid is None else {"kid": kid})
        return jwt.encode(self.claims(**changes), key or self.key, algorithm, headers)


def verifier(issuer: Issuer, keys: IssuerKeys | None = None, **settings: Any) -> OidcVerifier:
    """Of a server that this issuer knows as `headct`."""
    return OidcVerifier(OidcConfig(issuer=issuer.url, audience="headct", **settings), keys)


def refused(verify: Callable[[str], Any], token: str, code: str = "unauthenticated") -> HeadCTError:
    """The refusal of a token, which must have this code."""
    with pytest.raises(HeadCTError) as error:
        verify(token)
    assert error.value.code == code, error.value.message
    return error.value
