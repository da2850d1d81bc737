"""MONAI Label's /auth/ routes, so that its clients can log in."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel

from headct_molre.errors import InvalidRequest
from headct_molre.readers import ROLES, allows
from headct_molre.server.authenticator import Authenticator
from headct_molre.server.config import server_config
from headct_molre.server.principal import unauthenticated
from lib.principal import principal_of

router = APIRouter(prefix="/auth", tags=["Auth"])


class AccessToken(BaseModel):
    """MONAI Label's answer to a login; null without authentication."""

    access_token: str | None
    token_type: str | None


@router.get("/", summary="Whether the server asks who you are")
def authentication(request: Request) -> dict[str, Any]:
    """{enabled, client_id, realm}: with OpenID Connect, `realm` is the issuer and `client_id` the audience that a token must name."""
    oidc = server_config().oidc
    enabled = _authenticator(request) is not None
    return {"enabled": enabled, "client_id": oidc and oidc.audience, "realm": oidc and oidc.issuer}


@router.post("/token", summary="Log in with a token")
def log_in(
    request: Request,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    grant_type: Annotated[str, Form()] = "password",
) -> AccessToken:
    """The token back, if it is good and that of the reader: MONAI Label's clients ask for a name and a password, which is the token.

    With OpenID Connect that is an access token. Passwords of the issuer are not taken: they are for the issuer alone.
    """
    if grant_type != "password":
        raise InvalidRequest("unsupported_grant_type", "grant_type is password.", field="grant_type", status=400)
    authenticator = _authenticator(request)
    if authenticator is None:
        return AccessToken(access_token=None, token_type=None)
    if authenticator.authenticate(password).reader != username:
        raise unauthenticated("The token is good, and that of another reader. The user name is the reader's name.")
    return AccessToken(access_token=password, token_type="bearer")


@router.get("/token/valid", summary="Whose token it is")
def valid_token(request: Request) -> dict[str, Any]:
    """MONAI Label's user {username, email, name, roles}; without authentication nobody in particular, who may do everything."""
    principal = principal_of(request)
    reader, role = (principal.reader, principal.role) if principal else (None, ROLES[-1])
    return {"username": reader, "email": None, "name": reader, "roles": [lower for lower in ROLES if allows(role, lower)]}


def _authenticator(request: Request) -> Authenticator | None:
    return request.app.state.authenticator
