"""The settings of ServerConfig as command line options, as text to show, and as the table of docs/operations.md.

`python -m headct_molre.server.settings docs/operations.md` writes the tables anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InvalidRequest
from .config import PREFIX, ServerConfig
from .routes_off import ROUTES_OFF

HIDDEN = "***"


def option(name: str) -> str:
    """The command line option of a setting."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def add_settings(parser: argparse._ArgumentGroup) -> None:
    """One option for every setting. They are None when they are not given, so that environment and file may speak."""
    for name, field in ServerConfig.model_fields.items():
        parser.add_argument(
            option(name), dest=name, metavar=name.rpartition("_")[2].upper(), help=f"{field.description} ({_default(name)})"
        )


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of a command line. Raises InvalidRequest `secret_in_arguments`, since all users of a machine see arguments."""
    given = {name: value for name in ServerConfig.model_fields if (value := getattr(options, name)) is not None}
    if "store" in given and shown_url(given["store"]) != given["store"]:
        message = f"The store's URL holds a password, which all users of this machine would see: set {variable('store')} or use --config."
        raise InvalidRequest("secret_in_arguments", message, field="store")
    return given


def shown_url(url: str) -> str:
    """A database URL without its password."""
    from sqlalchemy.engine import make_url

    try:
        parsed = make_url(url)
    except Exception:  # whatever it is, it may hold a password
        return HIDDEN
    secrets = {key: HIDDEN for key in parsed.query if "pass" in key.lower()}
    hidden = parsed if not secrets else parsed.update_query_dict(secrets)
    return url if not secrets and parsed.password is None else hidden.render_as_string(hide_password=True)


def as_toml(config: ServerConfig) -> str:
    """The configuration as the text of a TOML file; what is not set is left out, passwords are hidden."""
    values = config.model_dump(mode="json", exclude_none=True)
    if "store" in values:
        values["store"] = shown_url(values["store"])
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {_toml_value(value)}" for name, value in values.items() if name not in tables]
    for name, table in tables.items():
        if not table:
            continue
        lines += ["", f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """The page with what lies between `<!-- table: NAME -->` and `<!-- end -->` written anew. Raises KeyError for an unknown name."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", page, flags=re.DOTALL
    )


def _settings_table() -> str:
    rows = [["setting, in the file", "option", "environment", "default", "what it decides"], ["---"] * 5]
    for name, field in ServerConfig.model_fields.items():
        rows.append([f"`{name}`", f"`{option(name)}`", f"`{variable(name)}`", _default(name), field.description or ""])
    return _markdown(rows)


def _routes_table() -> str:
    rows = [["name", "route", "methods", "why it is off", "can be enabled"], ["---"] * 5]
    for route in ROUTES_OFF:
        methods = ", ".join(sorted(route.methods)) if route.methods else "all"
        rows.append([f"`{route.name}`", f"`{route.path}`", methods, route.reason, "yes" if route.may_be_enabled else "no"])
    return _markdown(rows)


TABLES: dict[str, Callable[[], str]] = {"settings": _settings_table, "routes": _routes_table}


def _default(name: str) -> str:
    value = ServerConfig.model_fields[name].get_default()
    if value is None:
        return "not set"
    return ", ".join(value) or "none" if isinstance(value, (tuple, dict)) else f"{value:g}" if isinstance(value, float) else str(value)


def _toml_value(value: Any) -> str:
    """JSON's strings, numbers, truth values and lists are TOML's too."""
    return json.dumps(value, ensure_ascii=False)


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
