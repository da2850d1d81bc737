"""Verifies access tokens of an OpenID Connect issuer (signed JWTs, RFC 7519, RFC 9068) and reads reader and role from them."""

from __future__ import annotations

from typing import Any

import jwt

from ..errors import InvalidRequest
from ..readers import Role, checked_reader
from .config import OidcConfig
from .issuer import IssuerKeys, Jwk
from .principal import Principal, forbidden, unauthenticated

REQUIRED = ("exp", "iss", "aud", "sub")
# (kty, crv) of the keys that an algorithm takes. The allow-list of the configuration knows no other algorithm.
_KEY_TYPES = {
    "RS": ("RSA", None),
    "PS": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
# Tokens for other purposes, as for logging out, name themselves in the header and are signed with the same keys.
_TYPES = (None, "JWT", "AT+JWT", "APPLICATION/AT+JWT")
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired. Sign in again."),
    (jwt.ImmatureSignatureError, "The token is not valid yet. Compare the clocks of this server and of the issuer."),
    (jwt.InvalidAudienceError, "The token is for another audience. The issuer must name this server in aud."),
    (jwt.InvalidIssuerError, "The token is of another issuer. Sign in at the one that GET /auth/ names."),
    (jwt.MissingRequiredClaimError, f"The token lacks a claim: it needs {', '.join(REQUIRED)}."),
)
_UNPROVEN = "The token is not signed by this server's OpenID Connect issuer with an algorithm that is allowed here. Sign in again."


class OidcVerifier:
    """Safe to share between threads; asks the issuer for its keys when they are first needed."""

    def __init__(self, config: OidcConfig, keys: IssuerKeys | None = None) -> None:
        self._config = config
        self._keys = keys or IssuerKeys(config.issuer)

    def verify(self, token: str) -> Principal:
        """Whose token it is. Raises HeadCTError `unauthenticated`, `forbidden` without a role, `issuer_unreachable` or `issuer_invalid`."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise unauthenticated(_UNPROVEN) from None
        algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ")
        # The header is not proven yet: it chooses among what is allowed and nothing else.
        if algorithm not in self._config.algorithms or not isinstance(key_id, str):
            raise unauthenticated(_UNPROVEN)
        if (kind.upper() if isinstance(kind, str) else kind) not in _TYPES:
            raise unauthenticated("This is no access token. Sign in again.")
        key = _fitting(self._keys.named(key_id), algorithm)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=self._config.leeway_s,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise unauthenticated(next((reason for fault, reason in _REASONS if isinstance(error, fault)), _UNPROVEN)) from None
        return self._principal(claims)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        named = _claim(claims, self._config.reader_claim)
        try:
            reader = checked_reader(named if isinstance(named, str) else "")
        except InvalidRequest as error:
            raise unauthenticated(f"The token's claim {self._config.reader_claim} is no reader's name. {error.message}") from None
        return Principal(reader, self._role(_claim(claims, self._config.role_claim)), subject=claims["sub"])

    def _role(self, named: Any) -> Role:
        """The highest role among those that the token names."""
        names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
        config = self._config
        for ours, role in ((config.role_admin, "admin"), (config.role_trainer, "trainer"), (config.role_reader, "reader")):
            if ours in names:
                return role  # type: ignore[return-value]
        wanted = f"{config.role_reader}, {config.role_trainer}, {config.role_admin}"
        raise forbidden(f"The token names no role of this server: its claim {config.role_claim} has none of {wanted}.")


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim of this name (they may have dots, as URLs do), else the one to which its dots descend; None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _fitting(keys: list[Jwk], algorithm: str) -> jwt.PyJWK:
    """The key that is made for this algorithm. Raises HeadCTError `unauthenticated`."""
    kind, curve = _KEY_TYPES.get(algorithm) or _KEY_TYPES[algorithm[:2]]
    for jwk in keys:
        if (jwk.get("kty"), jwk.get("crv")) == (kind, curve) and jwk.get("alg", algorithm) == algorithm:
            try:
                return jwt.PyJWK(jwk, algorithm)
            except (jwt.PyJWTError, ValueError, TypeError):
                continue  # damaged
    raise unauthenticated(_UNPROVEN)
