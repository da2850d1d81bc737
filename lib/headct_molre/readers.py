"""Readers as the server knows them: how they are named, and their roles."""

from __future__ import annotations

from typing import Literal, get_args

from .errors import InvalidRequest

Role = Literal["reader", "trainer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
MAX_NAME = 128  # characters, as in a Submission


def allows(role: Role, least: Role) -> bool:
    """Whether a role may do what needs at least `least`."""
    return ROLES.index(role) >= ROLES.index(least)


def checked_role(role: str) -> Role:
    """The role. Raises InvalidRequest `unknown_role`."""
    for known in ROLES:
        if role == known:
            return known
    raise InvalidRequest("unknown_role", f"A role is one of {', '.join(ROLES)}.", field="role")


def checked_reader(name: str) -> str:
    """The name of a reader: 1 to 128 printable characters, no space at its ends. Raises InvalidRequest `invalid_reader`."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        message = f"A reader's name has 1 to {MAX_NAME} printable characters and no space at its ends."
        raise InvalidRequest("invalid_reader", message, field="reader")
    return name
