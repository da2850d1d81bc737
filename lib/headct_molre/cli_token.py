"""The commands `headct-molre token create | revoke | list`: bearer tokens for a server with `auth = "tokens"`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequest, NotFound
from .readers import ROLES

if TYPE_CHECKING:
    from .data.store import TokenRecord, Tokens

MOST_DAYS = 3_650


def add_token(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `token` with its three commands to the parser's commands."""
    token = commands.add_parser("token", help="make, list and revoke the bearer tokens of a server's readers")
    parts = token.add_subparsers(required=True, metavar="COMMAND")
    store = argparse.ArgumentParser(add_help=False)
    store.add_argument("--studies", type=Path, help="the server's folder of studies, as serve is given it")
    store.add_argument("--store", metavar="URL", help="the server's database, if not in that folder")
    store.add_argument("--config", type=Path, metavar="FILE", help="the server's configuration, a TOML file")

    create = parts.add_parser("create", parents=[store], help="make a token; it is printed now and never again")
    create.add_argument("--reader", required=True, metavar="NAME", help="whose submissions those are that come with it")
    create.add_argument("--role", required=True, choices=ROLES, help="what it allows (docs/authentication.md)")
    create.add_argument("--days", type=int, help="how long it is good; until it is revoked if not given")
    create.add_argument("--json", action="store_true")
    create.set_defaults(run=_create)

    revoke = parts.add_parser("revoke", parents=[store], help="end a token, within seconds on a running server")
    revoke.add_argument("token_id", metavar="TOKEN_ID", help="its id, as list shows it; not the token itself")
    revoke.set_defaults(run=_revoke)

    listing = parts.add_parser("list", parents=[store], help="all tokens there ever were, with their last use")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)


def _create(options: argparse.Namespace) -> int:
    if options.days is not None and not 1 <= options.days <= MOST_DAYS:
        raise InvalidRequest("invalid_argument", f"--days is 1 to {MOST_DAYS}.", field="days")
    expires_at = None if options.days is None else datetime.now(UTC) + timedelta(days=options.days)
    with _tokens(options) as tokens:
        token_id, token = tokens.create(options.reader, options.role, expires_at)
    if options.json:
        expires = None if expires_at is None else expires_at.isoformat(timespec="seconds")
        print(json.dumps({"token_id": token_id, "reader": options.reader, "role": options.role, "expires_at": expires, "token": token}))
        return 0
    # The token alone on standard output, so that a script can take it from there.
    until = "until it is revoked" if expires_at is None else f"until {expires_at:%Y-%m-%d %H:%M} UTC"
    print(f"Token {token_id} for {options.reader} ({options.role}), good {until}. It is shown only now:", file=sys.stderr)
    print(token)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    with _tokens(options) as tokens:
        record = tokens.revoke(options.token_id)
    print(f"Token {record.token_id} of {record.reader} is revoked.")
    return 0


def _list(options: argparse.Namespace) -> int:
    with _tokens(options) as tokens:
        records = tokens.records()
    if options.json:
        print(json.dumps([_to_json(record) for record in records], indent=2))
        return 0
    row = "{:<13}{:<9}{:<8}{:<18}{:<18}{:<18}{}".format
    print(row("TOKEN_ID", "STATE", "ROLE", "CREATED", "EXPIRES", "LAST USED", "READER"))
    for record in records:
        times = (record.created_at, record.expires_at, record.last_used_at)
        print(row(record.token_id, record.state, record.role, *map(_minute, times), record.reader))
    return 0


@contextmanager
def _tokens(options: argparse.Namespace) -> Iterator[Tokens]:
    """The tokens of the store that a server with these options opens."""
    from .data.store import StudyStore
    from .server.config import load_server_config

    config = load_server_config({"studies": options.studies, "store": options.store}, file=options.config)
    if config.store is None and not config.studies.is_dir():
        # A new store in a misspelt folder would take the token, and no server would know it.
        raise NotFound("no_studies_folder", f"There is no folder {config.studies}; name the server's with --studies.", field="studies")
    store = StudyStore(config.store_url)
    try:
        yield store.tokens
    finally:
        store.close()


def _to_json(record: TokenRecord) -> dict[str, Any]:
    times = {name: getattr(record, name) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    document = {"token_id": record.token_id, "reader": record.reader, "role": record.role, "state": record.state}
    return document | {name: moment and moment.isoformat(timespec="seconds") for name, moment in times.items()}


def _minute(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
