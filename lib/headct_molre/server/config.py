"""The configuration of a server: command line, then environment, then one TOML file, then these defaults (docs/operations.md)."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, ValidationError, field_validator, model_validator

from ..data.store.labels import DEFAULT_RULE, LABEL_RULES
from ..data.store.url import sqlite_url
from ..errors import InvalidRequest
from ..schema import Contract
from .issuer import checked_url

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(gt=0)]
PREFIX = "HEADCT_MOLRE_SERVER_"  # HEADCT_MOLRE_SERVER_PORT=8001 sets port; lists are separated by commas
_WHOLE = "HEADCT_MOLRE_SERVER_CONFIG"  # how `serve` hands the whole to the process that it becomes
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OidcConfig(Contract):
    """Tokens of an OpenID Connect issuer: `reader_claim` has the reader's name, `role_claim` (dots descend) the roles."""

    issuer: str
    audience: Annotated[str, Field(min_length=1)]
    algorithms: Annotated[
        tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...], Field(min_length=1)
    ] = ("RS256",)
    reader_claim: Annotated[str, Field(min_length=1)] = "preferred_username"
    role_claim: Annotated[str, Field(min_length=1)] = "roles"
    role_reader: Annotated[str, Field(min_length=1)] = "headct-reader"
    role_trainer: Annotated[str, Field(min_length=1)] = "headct-trainer"
    role_admin: Annotated[str, Field(min_length=1)] = "headct-admin"
    leeway_s: Annotated[FiniteFloat, Field(ge=0, le=300)] = 30.0

    @field_validator("issuer")
    @classmethod
    def _exact(cls, issuer: str) -> str:
        if "?" in issuer or "#" in issuer:
            raise ValueError("must have no query and no fragment")
        return checked_url(issuer)

    @model_validator(mode="after")
    def _three_roles(self) -> OidcConfig:
        if len({self.role_reader, self.role_trainer, self.role_admin}) < 3:
            raise ValueError("role_reader, role_trainer and role_admin must be three different names")
        return self


class ServerConfig(Contract):
    """Everything that an operator decides. Sizes are MB of 1,000,000 bytes, times are seconds."""

    studies: Path = Path("studies")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(gt=0, lt=65536)] = 8000
    models: tuple[str, ...] = ("demo",)
    store: str | None = None  # database URL; null: an SQLite file in the studies folder

    auth: Literal["none", "tokens", "oidc"] = "none"
    oidc: OidcConfig | None = None
    names: tuple[str, ...] = ()  # host names by which clients may call the server, besides those of this machine
    cors_origins: tuple[str, ...] = ()
    enabled_routes: tuple[str, ...] = ()  # of those that are off by default
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    readers_per_study: Count = 1
    lease_s: Seconds = 1800.0
    label_rule: str = DEFAULT_RULE  # one of LABEL_RULES

    waiting_inferences: Annotated[int, Field(ge=0)] = 32  # for each device; one more is refused with 503
    upload_mb: Count = 2000
    stop_s: Seconds = 30.0  # how long a stopping server lets running work end
    scan_s: Seconds = 5.0  # how often the studies folder is looked through for new studies
    log: Literal["json", "text"] = "json"

    @field_validator("label_rule")
    @classmethod
    def _known_rule(cls, value: str) -> str:
        if value not in LABEL_RULES:
            raise ValueError(f"there are the rules {', '.join(LABEL_RULES)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ServerConfig:
        if (self.auth == "oidc") != (self.oidc is not None):
            raise ValueError("auth 'oidc' and the settings oidc.issuer and oidc.audience go together")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.auth == "none" and self.host not in LOOPBACK:
            raise ValueError(
                f"without authentication the server listens on this machine only: add auth tokens or oidc, or host {LOOPBACK[0]}"
            )
        return self

    @property
    def store_url(self) -> str:
        """The database URL."""
        return self.store or sqlite_url(self.studies.absolute() / ".headct" / "store.sqlite")

    def environment(self) -> dict[str, str]:
        """The variable by which the server process, and those that it starts, find this configuration."""
        return {_WHOLE: self.model_dump_json()}


def server_config(environ: Mapping[str, str] = os.environ) -> ServerConfig:
    """The configuration of this process: the one that `serve` handed over, else what environment and defaults say."""
    whole = environ.get(_WHOLE)
    return ServerConfig.model_validate_json(whole) if whole else load_server_config({}, environ)


def load_server_config(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, file: Path | None = None) -> ServerConfig:
    """Flags that are not None win over the environment, and that over the TOML file. Raises InvalidRequest `invalid_setting`."""
    values = {} if file is None else _toml(file)
    values |= {name: _typed(name, text) for name, text in _named(environ).items()}
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        return ServerConfig.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or "config"
        raise InvalidRequest("invalid_setting", f"Setting {field}: {problem['msg'].removeprefix('Value error, ')}.", field=field) from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest("invalid_setting", f"{file} cannot be read: {error.strerror}.", field="config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("invalid_setting", f"{file} is not TOML: {error}.", field="config") from None


def _named(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings of the environment. A name that is no setting is an error like any other, so that a misspelt one is not lost."""
    return {name.removeprefix(PREFIX).lower(): text for name, text in environ.items() if name.startswith(PREFIX) and name != _WHOLE}


def _typed(name: str, text: str) -> Any:
    """Lists are separated by commas, groups are JSON; pydantic reads the rest from text."""
    field = ServerConfig.model_fields.get(name)
    if field is not None and "tuple" in str(field.annotation):
        return [part.strip() for part in text.split(",") if part.strip()]
    if name == "oidc":
        try:
            return json.loads(text)
        except ValueError:
            raise InvalidRequest("invalid_setting", f"{PREFIX}OIDC is not JSON.", field="oidc") from None
    return text
