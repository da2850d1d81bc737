"""`headct-molre serve`: the server, configured by options, environment and one TOML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from .server.settings import add_settings, given_settings


def add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser's commands."""
    serve = commands.add_parser("serve", help="start the MONAI Label server with this project's app (docs/operations.md)")
    serve.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings; environment and options win over it")
    serve.add_argument("--print-config", action="store_true", help="show the settings that would be used, without passwords, and stop")
    serve.add_argument("--demo-studies", action="store_true", help="fill an empty folder with a few synthetic phantom studies")
    serve.add_argument("--app", type=Path, help="folder of the MONAI Label app, if not beside this package")
    add_settings(serve.add_argument_group("settings, with their defaults"))
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    from .serve import serve, settled
    from .server.config import load_server_config
    from .server.settings import as_toml

    config = load_server_config(given_settings(options), file=options.config)
    if options.print_config:
        print(as_toml(settled(config)))
        return 0
    return serve(config, options.demo_studies, options.app)
