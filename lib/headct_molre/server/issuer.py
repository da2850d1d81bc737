"""The public keys of an OpenID Connect issuer: from its discovery document, kept, and fetched again when it changes them."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from ..errors import HeadCTError
from .issuer_url import checked_url

logger = logging.getLogger("headct_molre.server")

KEEP_S = 300.0  # keys are looked up again after this, so that one that the issuer withdrew is noticed
RETRY_S = 10.0  # however many tokens name unknown keys, and however often it failed, the issuer is asked this often
TIMEOUT_S = 5.0
MAX_BYTES = 1_000_000
Jwk = dict[str, Any]


class IssuerKeys:
    """Safe to share between threads. Keys once fetched go on working while the issuer is down.

    One thread asks the issuer at a time. The others go on with the keys that there are, and wait only when there are none yet.
    """

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._fetching = threading.Lock()
        self._keys: dict[str, list[Jwk]] = {}
        self._tried_at = float("-inf")
        self._failure: HeadCTError | None = None

    def named(self, key_id: str) -> list[Jwk]:
        """The keys with this id, none where the issuer has none. Raises HeadCTError `issuer_unreachable` or `issuer_invalid` (503)."""
        due = self._clock() - self._tried_at >= (KEEP_S if key_id in self._keys else RETRY_S)
        problem = self._renew() if due else self._failure
        found = self._keys.get(key_id, [])
        if not found and problem is not None:
            raise problem
        return found

    def _renew(self) -> HeadCTError | None:
        """Asks the issuer; what went wrong, None where nothing did."""
        if not self._fetching.acquire(blocking=not self._keys):
            return _unreachable("The keys of the OpenID Connect issuer are just being fetched.")
        try:
            if self._clock() - self._tried_at >= RETRY_S:  # else another thread has just asked
                try:
                    self._keys, self._failure = _fetched_keys(self._issuer), None
                except HeadCTError as error:
                    self._failure = error
                    logger.warning("the keys of the OpenID Connect issuer could not be fetched: %s (%s)", error.message, error.__cause__)
                self._tried_at = self._clock()
            return self._failure
        finally:
            self._fetching.release()


def _fetched_keys(issuer: str) -> dict[str, list[Jwk]]:
    discovery = _document(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if discovery.get("issuer") != issuer:
        raise _invalid("names itself otherwise in its discovery document: write oidc.issuer exactly as it does")
    try:
        uri = checked_url(str(discovery.get("jwks_uri")))
    except ValueError as error:
        raise _invalid(f"names a wrong jwks_uri, which {error}") from None
    listed = _document(uri).get("keys")
    if not isinstance(listed, list):
        raise _invalid("has no list of keys at its jwks_uri")
    keys: dict[str, list[Jwk]] = {}
    for jwk in listed:
        # Private and encryption keys verify nothing. A key without an id cannot be chosen.
        if isinstance(jwk, dict) and isinstance(jwk.get("kid"), str) and jwk.get("use", "sig") == "sig" and "d" not in jwk:
            keys.setdefault(jwk["kid"], []).append(jwk)
    return keys


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to a host, or to plain http, that the operator did not name."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _document(url: str) -> dict[str, Any]:
    """A JSON object from the issuer, of bounded size and in bounded time."""
    deadline = time.monotonic() + TIMEOUT_S
    body = b""
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=TIMEOUT_S) as response:
            while part := response.read1(65_536):
                body += part
                if len(body) > MAX_BYTES or time.monotonic() > deadline:
                    raise _invalid("sends its documents too slowly, or too large ones")
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable("The OpenID Connect issuer cannot be reached.") from error
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _invalid("answers with something that is not a JSON object")
    return document


def _unreachable(why: str) -> HeadCTError:
    return HeadCTError("issuer_unreachable", f"{why} This token cannot be checked now; send the request again later.", status=503)


def _invalid(what: str) -> HeadCTError:
    return HeadCTError("issuer_invalid", f"The OpenID Connect issuer {what}. The server's operator has to look at it.", status=503)
