"""Names and reasons that readers give, as the store takes them."""

from __future__ import annotations

from ...errors import InvalidRequest

LONGEST_READER = 128
LONGEST_REASON = 1000


def checked_reader(reader: str) -> str:
    """The name, when both databases can hold it and a person can read it. Raises InvalidRequest `invalid_reader`."""
    if not reader.strip() or len(reader) > LONGEST_READER or not reader.isprintable():
        message = f"A reader's name has 1 to {LONGEST_READER} printable characters."
        raise InvalidRequest("invalid_reader", message, field="reader")
    return reader


def checked_reason(reason: str) -> str:
    """The reason without the spaces around it. Raises InvalidRequest `invalid_reason`."""
    text = reason.strip()
    if not text or len(text) > LONGEST_REASON or not all(letter.isprintable() or letter in "\n\t" for letter in text):
        raise InvalidRequest("invalid_reason", f"Say why, in 1 to {LONGEST_REASON:,} printable characters.", field="reason")
    return text
