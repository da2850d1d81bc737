"""Who makes a request: a reader with a role, and the refusals of those who are not known, or may not."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import HeadCTError
from ..readers import Role, allows


class Unauthenticated(HeadCTError):
    """No token, or one that proves nothing; the message says how to get a good one."""

    status = 401

    def __init__(self, message: str) -> None:
        super().__init__("unauthenticated", message)

    def __reduce__(self) -> tuple[type[Unauthenticated], tuple[str]]:  # type: ignore[override]
        return type(self), (self.message,)


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
            message = f"This needs the role {least}, and yours is {self.role}. Ask the administrator of this server for it."
            raise HeadCTError("forbidden", message, status=403)
