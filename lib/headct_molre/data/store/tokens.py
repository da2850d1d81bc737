"""Bearer tokens of readers: made once, shown once, kept as a hash, revoked but never forgotten."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import RowMapping, insert, or_, select, update

from ...errors import NotFound
from ...readers import Role, checked_reader, checked_role
from .clock import now, with_zone
from .database import Database
from .tables import TOKENS

NOTE_USE_S = 60.0  # the last use is noted at most this often, so that a request does not cost a write
_FORM = re.compile(r"hct_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class TokenRecord:
    """A token as it is kept: whose it is, what it allows, until when. Times have their zone."""

    token_id: str
    reader: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def state(self) -> Literal["active", "expired", "revoked"]:
        """What of it is true now; a token that was revoked stays so after it would have expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= with_zone(now()) else "active"


class Tokens:
    """`hct_<token id>_<256 random bits>`. The id names a token in lists and is not secret.

    At rest there is the SHA-256 of the random part. A slow hash makes guessing dear where people choose passwords; nobody guesses
    256 random bits however fast the hash, and a slow one would be paid at every request.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, reader: str, role: str, expires_at: datetime | None = None) -> tuple[str, str]:
        """(token id, token); the token cannot be had again. `expires_at` has its zone. Raises InvalidRequest, StoreUnavailable."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = {
            "token_id": token_id,
            "reader": checked_reader(reader),
            "role": checked_role(role),
            "secret_sha256": _hash(secret),
            "created_at": now(),
            "expires_at": None if expires_at is None else _stored(expires_at),
        }
        with self._database.writing() as connection:
            connection.execute(insert(TOKENS).values(row))
        return token_id, f"hct_{token_id}_{secret}"

    def verify(self, token: str) -> TokenRecord | None:
        """The record of a token that is good now. Raises StoreUnavailable."""
        parts = _FORM.fullmatch(token)
        if parts is None:
            return None
        token_id, secret = parts.groups()
        with self._database.reading() as connection:
            row = connection.execute(select(TOKENS).where(TOKENS.c.token_id == token_id)).mappings().first()
        if row is None or not hmac.compare_digest(row["secret_sha256"], _hash(secret)):
            return None
        record = _record(row)
        return record if record.state == "active" else None

    def note_use(self, token_id: str) -> None:
        """Notes that a token was used just now, unless that was noted within the last minute. Raises StoreUnavailable."""
        used = now()
        earlier = or_(TOKENS.c.last_used_at.is_(None), TOKENS.c.last_used_at < used - timedelta(seconds=NOTE_USE_S))
        with self._database.writing() as connection:
            connection.execute(update(TOKENS).where(TOKENS.c.token_id == token_id, earlier).values(last_used_at=used))

    def records(self) -> list[TokenRecord]:
        """All tokens there ever were, the oldest first."""
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(select(TOKENS).order_by(TOKENS.c.created_at)).mappings()]

    def revoke(self, token_id: str) -> TokenRecord:
        """Ends a token; it stays in the list. A second time changes nothing. Raises NotFound `unknown_token`, StoreUnavailable."""
        here = TOKENS.c.token_id == token_id
        with self._database.writing() as connection:
            connection.execute(update(TOKENS).where(here, TOKENS.c.revoked_at.is_(None)).values(revoked_at=now()))
            row = connection.execute(select(TOKENS).where(here)).mappings().first()
        if row is None:
            raise NotFound("unknown_token", "There is no token with this id; headct-molre token list shows them.", field="token_id")
        return _record(row)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _stored(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _record(row: RowMapping) -> TokenRecord:
    times = {name: row[name] and with_zone(row[name]) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    return TokenRecord(row["token_id"], row["reader"], row["role"], **times)
