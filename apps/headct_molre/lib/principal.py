"""Who makes a request, for handlers."""

from starlette.requests import Request

from headct_molre.errors import HeadCTError, InvalidRequest
from headct_molre.readers import checked_reader
from headct_molre.server.principal import Principal, unauthenticated


def principal_of(request: Request) -> Principal | None:
    """Whose token came with the request; None where the server has no authentication, or on an open route without a token."""
    return request.scope.get("state", {}).get("principal")


def is_trusted(request: Request) -> bool:
    """Whether the caller may know more than that the server is there: everyone with a token, or on this machine without authentication."""
    return principal_of(request) is not None or not _has_authentication(request)


def reader_of(request: Request, named: str | None) -> str:
    """The reader who acts. With authentication it is the token's, and `named` may only repeat it: nobody acts for another, admins neither.

    Raises HeadCTError `other_reader` (403), InvalidRequest `reader_missing` without authentication when none is named, `invalid_reader`.
    """
    principal = principal_of(request)
    if principal is None:
        if _has_authentication(request):
            raise unauthenticated("This is done in the name of a reader: send the header Authorization: Bearer TOKEN.")
        if not named:
            raise InvalidRequest("reader_missing", "Say who reads: name the reader.", field="reader")
        return checked_reader(named)
    if named and named != principal.reader:
        message = (
            f"The token is that of {principal.reader}; nobody acts in the name of another reader. Leave the reader out, or name this one."
        )
        raise HeadCTError("other_reader", message, field="reader", status=403)
    return principal.reader


def whose_turn(request: Request) -> str:
    """For whom the queue takes turns: the token's reader, or without authentication the machine that asks."""
    principal = principal_of(request)
    if principal is not None:
        return principal.reader
    return request.client.host if request.client else ""


def may_touch_all(request: Request) -> bool:
    """Whether the caller may cancel the work of others: trainers and admins, and everybody without authentication."""
    principal = principal_of(request)
    return is_trusted(request) if principal is None else principal.role != "reader"


def _has_authentication(request: Request) -> bool:
    return bool(request.scope.get("state", {}).get("authentication"))
