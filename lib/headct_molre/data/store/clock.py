"""Times as the store keeps them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """UTC without its zone, which SQLite does not keep."""
    return datetime.now(UTC).replace(tzinfo=None)


def with_zone(stored: datetime) -> datetime:
    """A stored time as it goes over the wire."""
    return stored.replace(tzinfo=UTC)
