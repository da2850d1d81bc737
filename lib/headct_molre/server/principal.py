"""Who makes a request: a reader with a role, and the refusals of those who are not known, or may not."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import HeadCTError
from ..readers import Role, allows


@dataclass(frozen=True)
class Principal:
    """A reader and what they may do; `token_id` of a token of ours, or `subject` at the OpenID Connect issuer."""

    reader: str
    role: Role
    token_id: str | None = None
    subject: str | None = None

    def require(self, least: Role) -> None:
        """Raises HeadCTError `forbidden` when the role is below `least`."""
        if not allows(self.role, least):
            raise forbidden(f"This needs the role {least}, and yours is {self.role}.")


def forbidden(reason: str) -> HeadCTError:
    """The refusal of a reader who is known and may not do this."""
    return HeadCTError("forbidden", f"{reason} Ask the administrator of this server for the role.", status=403)


def unauthenticated(reason: str) -> HeadCTError:
    """The refusal of a request that does not prove who makes it; the reason says how it can."""
    return HeadCTError("unauthenticated", reason, status=401)
