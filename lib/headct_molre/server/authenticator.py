"""Finds out whose bearer token it is, and remembers that for a few seconds."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..data.store.faults import StoreUnavailable
from ..data.store.tokens import NOTE_USE_S, Tokens
from .config import OidcConfig
from .oidc import OidcVerifier
from .principal import Principal, unauthenticated

REMEMBERED_S = 5.0  # a token that is revoked goes on working at most this long
MOST_REMEMBERED = 1_000
MAX_TOKEN = 16_384  # characters; an issuer's token with hundreds of roles has fewer


class Authenticator:
    """Around a function that verifies a token; safe to share between threads."""

    def __init__(self, verify: Callable[[str], Principal], clock: Callable[[], float] = time.monotonic) -> None:
        self._verify = verify
        self._clock = clock
        self._lock = threading.Lock()
        self._remembered: dict[bytes, tuple[Principal, float]] = {}

    def remembered(self, token: str) -> Principal | None:
        """Whose token it is, if that was found out within the last seconds; never waits."""
        with self._lock:
            principal, until = self._remembered.get(_digest(token), (None, 0.0))
        return principal if self._clock() < until else None

    def authenticate(self, token: str) -> Principal:
        """Whose token it is; may wait for the database or the issuer. Raises HeadCTError `unauthenticated`, `forbidden`, or a 503."""
        if len(token) > MAX_TOKEN or not token.isascii():
            raise unauthenticated(f"A token has at most {MAX_TOKEN:,} characters, all of them ASCII.")
        principal = self._verify(token)
        with self._lock:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[_digest(token)] = principal, self._clock() + REMEMBERED_S
        return principal


def by_tokens(tokens: Callable[[], Tokens]) -> Authenticator:
    """For tokens that this server's operator made; `tokens` is asked when the first request comes."""
    notes = _NotesOfUse(tokens)

    def verify(token: str) -> Principal:
        record = tokens().verify(token)
        if record is None:
            raise unauthenticated(
                "The token is not known here, has expired or was revoked. The administrator makes a new one with headct-molre token create."
            )
        notes.add(record.token_id)
        return Principal(record.reader, record.role, token_id=record.token_id)

    return Authenticator(verify)


def by_issuer(config: OidcConfig) -> Authenticator:
    """For tokens of an OpenID Connect issuer."""
    return Authenticator(OidcVerifier(config).verify)


class _NotesOfUse:
    """Notes when tokens were used last, aside: no request waits for that write, and none fails with it."""

    def __init__(self, tokens: Callable[[], Tokens]) -> None:
        self._tokens = tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="token-use")
        self._noted: dict[str, float] = {}

    def add(self, token_id: str) -> None:
        now = time.monotonic()
        if now - self._noted.get(token_id, -NOTE_USE_S) >= NOTE_USE_S:
            self._noted[token_id] = now
            self._thread.submit(self._note, token_id)

    def _note(self, token_id: str) -> None:
        try:
            self._tokens().note_use(token_id)
        except StoreUnavailable:
            self._noted.pop(token_id, None)  # the next use tries again


def _digest(token: str) -> bytes:
    # Memory dumps and debuggers shall not find tokens here.
    return hashlib.sha256(token.encode()).digest()
