"""The configuration of a server: command line, then environment, then one TOML file, then these defaults (docs/operations.md)."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, FiniteFloat, ValidationError, field_validator, model_validator

from ..errors import InvalidRequest
from ..schema import Contract
from .issuer_url import checked_url
from .routes_off import ROUTES_OFF

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(gt=0)]
PREFIX = "HEADCT_MOLRE_SERVER_"  # HEADCT_MOLRE_SERVER_PORT=8001 sets port; lists are separated by commas
_WHOLE = "HEADCT_MOLRE_SERVER_CONFIG"  # how `serve` hands the whole to the process that it becomes
_FORMER_STORE = "HEADCT_MOLRE_STORE"
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
    """Everything that an operator decides. Sizes are MB of 1,000,000 bytes, times are seconds.

    The descriptions are those of `serve --help` and of the table in docs/operations.md.
    """

    studies: Path = Field(Path("studies"), description="folder of studies; the server keeps its own files in .headct inside it")
    host: str = Field("127.0.0.1", description="address to listen on, or several separated by commas; IPv6 without brackets")
    port: Annotated[int, Field(gt=0, lt=65536)] = Field(8000, description="port to listen on")
    models: tuple[str, ...] = Field(("demo",), description="models to serve, or all")
    store: str | None = Field(None, description="database URL of the study store; an SQLite file in the studies folder if not given")

    auth: Literal["none", "tokens", "oidc"] = Field("none", description="who may call the server: none (this machine), tokens or oidc")
    oidc: OidcConfig | None = Field(None, description="the OpenID Connect issuer, as a table (JSON outside of TOML)")
    names: tuple[str, ...] = Field((), description="host names by which clients may call the server, besides those of this machine")
    cors_origins: tuple[str, ...] = Field((), description="web sites whose pages may call the server, like https://viewer.example.org")
    enabled_routes: tuple[str, ...] = Field((), description="routes that are off by default and shall be on")
    tls_certificate: Path | None = Field(None, description="PEM file with the certificate chain; with tls_key the server speaks HTTPS")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key, without a passphrase")

    readers_per_study: Count = Field(1, description="how many readers a study needs that is registered from now on")
    lease_s: Seconds = Field(1800.0, description="how long a study that was offered to a reader is offered to no other")
    random_share: Annotated[FiniteFloat, Field(ge=0.10, le=0.25)] = Field(
        0.15, description="share of the offers of a ranking strategy that is drawn at random, 0.10 to 0.25"
    )
    label_rule: str = Field("majority", description="how a label follows from several readers")

    waiting_inferences: Annotated[int, Field(ge=0)] = Field(32, description="inferences that may wait, for each device; more answer 503")
    concurrent_requests: Count = Field(256, description="requests that are worked on or wait at one time; more answer 503")
    upload_mb: Count = Field(2000, description="largest upload in MB")
    free_disk_mb: Annotated[int, Field(ge=0)] = Field(1000, description="free space below which health is degraded and uploads answer 507")
    promotion: Literal["automatic", "person"] = Field(
        "person", description="who promotes what the gate says to promote: automatic, or a person"
    )
    gate: dict[str, FiniteFloat | int | bool] = Field(
        {}, description="rules of the gate that are to differ from those in docs/promotion.md, as a table (JSON outside of TOML)"
    )
    train_memory_mb: Annotated[int, Field(ge=0)] = Field(
        0, description="memory in MB at which a training process is ended; 0: half of the machine's"
    )
    train_threads: Annotated[int, Field(ge=0)] = Field(0, description="processor threads of a training process; 0: half of the machine's")
    stop_s: Seconds = Field(30.0, description="how long a stopping server lets running work end")
    scan_s: Seconds = Field(5.0, description="how often the studies folder is looked through for new studies")
    log: Literal["json", "text"] = Field("json", description="form of the log on standard error: json (an object a line) or text")

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"{origin!r} is no origin: write https://host or https://host:port; there is no wildcard")
        return origins

    @field_validator("enabled_routes")
    @classmethod
    def _routes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        may = [route.name for route in ROUTES_OFF if route.may_be_enabled]
        for name in names:
            if name not in may:
                raise ValueError(f"{name!r} cannot be enabled; there are {', '.join(may)}")
        return names

    @field_validator("gate")
    @classmethod
    def _rules(cls, rules: dict[str, float | int | bool]) -> dict[str, float | int | bool]:
        if "decision" in rules:
            raise ValueError("who decides is said by the setting promotion")
        if rules:
            from ..training.gate.policy import GatePolicy  # loads numerical libraries, which `headct-molre --help` need not wait for

            try:
                GatePolicy.model_validate(rules)
            except ValidationError as error:
                problem = error.errors(include_input=False)[0]
                raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
        return rules

    @field_validator("label_rule")
    @classmethod
    def _known_rule(cls, value: str) -> str:
        from ..data.store.labels import LABEL_RULES  # loads a database library, which `headct-molre --help` need not wait for

        if value not in LABEL_RULES:
            raise ValueError(f"there are the rules {', '.join(LABEL_RULES)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ServerConfig:
        if not self.hosts:
            raise ValueError(f"host is empty: name an address, like {LOOPBACK[0]}")
        if (self.auth == "oidc") != (self.oidc is not None):
            raise ValueError("auth 'oidc' and the settings oidc.issuer and oidc.audience go together")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.auth == "none" and not set(self.hosts) <= set(LOOPBACK):
            raise ValueError(
                f"without authentication the server listens on this machine only: add auth tokens or oidc, or host {LOOPBACK[0]}"
            )
        return self

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to listen on."""
        return tuple(part.strip() for part in self.host.split(",") if part.strip())

    @property
    def private_folder(self) -> Path:
        """The server's own folder inside the studies folder."""
        return self.studies.absolute() / ".headct"

    @property
    def store_url(self) -> str:
        """The database URL."""
        from ..data.store.url import sqlite_url  # loads a database library, which `headct-molre --help` need not wait for

        return self.store or sqlite_url(self.private_folder / "store.sqlite")

    def environment(self) -> dict[str, str]:
        """The variable by which the server process, and those that it starts, find this configuration."""
        return {_WHOLE: self.model_dump_json()}


def server_config(environ: Mapping[str, str] = os.environ) -> ServerConfig:
    """The configuration of this process: the one that `serve` handed over, else what environment and defaults say."""
    whole = environ.get(_WHOLE)
    return ServerConfig.model_validate_json(whole) if whole else load_server_config({}, environ)


def was_handed_over(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `serve` started this process; MONAI Label's own start knows nothing of the configuration."""
    return _WHOLE in environ


def load_server_config(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, file: Path | None = None) -> ServerConfig:
    """Flags that are not None win over the environment, and that over the TOML file. Raises InvalidRequest `invalid_setting`.

    Text is read as the environment has it: lists are separated by commas, groups are JSON.
    """
    values = {} if file is None else _toml(file)
    values |= {name: _typed(name, text) for name, text in _named(environ).items()}
    values |= {name: _typed(name, value) for name, value in flags.items() if value is not None}
    try:
        return ServerConfig.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or "config"
        reason = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        raise InvalidRequest("invalid_setting", f"Setting {field}: {reason}.", field=field) from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest("invalid_setting", f"{file} cannot be read: {error.strerror}.", field="config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("invalid_setting", f"{file} is not TOML: {error}.", field="config") from None


def _named(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings of the environment. A name that is no setting is an error like any other, so that a misspelt one is not lost."""
    if _FORMER_STORE in environ:  # ignored, it would leave the server with an empty store
        raise InvalidRequest("invalid_setting", f"{_FORMER_STORE} is now called {PREFIX}STORE: rename it.", field="store")
    return {name.removeprefix(PREFIX).lower(): text for name, text in environ.items() if name.startswith(PREFIX) and name != _WHOLE}


def _typed(name: str, value: Any) -> Any:
    """The value of a setting from text; pydantic reads single numbers and words from text itself."""
    field = ServerConfig.model_fields.get(name)
    if not isinstance(value, str) or field is None:
        return value
    if "tuple" in str(field.annotation):
        return [part.strip() for part in value.split(",") if part.strip()]
    if name in ("oidc", "gate"):
        try:
            return json.loads(value)
        except ValueError:
            raise InvalidRequest("invalid_setting", f"Setting {name}: not JSON.", field=name) from None
    return value
