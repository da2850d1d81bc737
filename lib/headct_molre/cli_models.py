"""The commands `headct-molre models versions | promote | rollback | diff | export | import`."""

from __future__ import annotations

import argparse
import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .output import check_output

if TYPE_CHECKING:
    from .models.history import Event
    from .models.version_diff import VersionDiff

NOTHING = "-"


def add_versions(models: argparse.ArgumentParser) -> None:
    """Add the commands on versions to the parser of `models`, which lists the models without one."""
    commands = models.add_subparsers(metavar="COMMAND")

    versions = commands.add_parser("versions", help="list the versions of a model, or who served which and when")
    versions.add_argument("name", help="name of the model, such as demo")
    versions.add_argument("--history", action="store_true", help="list promotions and rollbacks")
    versions.add_argument("--json", action="store_true")
    versions.set_defaults(run=_versions)

    decision = argparse.ArgumentParser(add_help=False)
    decision.add_argument("name", help="name of the model, such as demo")
    decision.add_argument("--who", help="who decides; the user of this machine if not given")
    decision.add_argument("--reason", default="", help="kept in the history")

    promote = commands.add_parser("promote", parents=[decision], help="serve a version, the candidate if not told")
    promote.add_argument("--version", help="in place of the candidate")
    promote.set_defaults(run=_promote)

    rollback = commands.add_parser("rollback", parents=[decision], help="serve the version that was served before")
    rollback.set_defaults(run=_rollback)

    diff = commands.add_parser("diff", help="say what differs between two versions")
    diff.add_argument("name", help="name of the model, such as demo")
    diff.add_argument("before")
    diff.add_argument("after")
    diff.add_argument("--json", action="store_true")
    diff.set_defaults(run=_diff)

    export = commands.add_parser("export", help="write a version into one file")
    export.add_argument("name", help="name of the model, such as demo")
    export.add_argument("version")
    export.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    export.set_defaults(run=_export)

    imported = commands.add_parser("import", help="put the version of such a file beside those that are here, without serving it")
    imported.add_argument("file", type=Path)
    imported.set_defaults(run=_import)


def _versions(options: argparse.Namespace) -> int:
    from .models.versions import list_versions, version_history

    if options.history:
        events = version_history(options.name)
        if options.json:
            print(json.dumps([event.model_dump() for event in events], indent=2))
        for event in [] if options.json else events:
            print(_event_line(event))
        return 0
    entries = list_versions(options.name)
    if options.json:
        print(json.dumps([entry.model_dump() for entry in entries], indent=2))
        return 0
    print(f"{'version':<24}{'served as':<11}{'mean AUC':>9}  {'gate':<12}{'from':<16}created")
    for entry in entries:
        role = "champion" if entry.champion else "candidate" if entry.candidate else NOTHING
        auc = NOTHING if entry.mean_auc is None else f"{entry.mean_auc:.3f}"
        gate = NOTHING if entry.champion else entry.gate.replace("_", " ")
        line = f"{entry.version:<24}{role:<11}{auc:>9}  {gate:<12}{entry.parent or NOTHING:<16}{entry.created}"
        print(f"{line}{'  (demo)' if entry.demo else ''}")
    print("Mean AUCs are those of each card, maybe on different studies: only the gate compares versions.")
    return 0


def _promote(options: argparse.Namespace) -> int:
    from .models.versions import promote

    _say(options.name, promote(options.name, options.who or getpass.getuser(), options.version, options.reason))
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from .models.versions import rollback

    _say(options.name, rollback(options.name, options.who or getpass.getuser(), options.reason))
    return 0


def _diff(options: argparse.Namespace) -> int:
    from .models.versions import diff_versions

    diff = diff_versions(options.name, options.before, options.after)
    print(json.dumps(diff.model_dump(), indent=2) if options.json else _diff_text(diff))
    return 0


def _export(options: argparse.Namespace) -> int:
    from .models.version_file import export_version

    check_output(options.out, "out")
    manifest = export_version(options.name, options.version, options.out)
    print(f"{manifest.name} {manifest.version} written to {options.out}: {', '.join(manifest.files)}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from .models.version_file import import_version

    card = import_version(options.file)
    print(f"{card.name} {card.version} is here now. To serve it: headct-molre models promote {card.name} --version {card.version}")
    return 0


def _say(name: str, event: Event) -> None:
    print(f"{name} is served as {event.after} from the next request on; before, it was {event.before or 'not served'}.")


def _event_line(event: Event) -> str:
    gate = f", gate: {event.gate.replace('_', ' ')}" if event.gate else ""
    reason = f", reason: {event.reason}" if event.reason else ""
    what = f"{event.action.replace('_', ' '):<12}{event.before or NOTHING} to {event.after or NOTHING}"
    return f"{event.at}  {what} by {event.who or NOTHING}{gate}{reason}"


def _diff_text(diff: VersionDiff) -> str:
    lines = [f"{diff.model} {diff.before} to {diff.after}: {'the same weights' if diff.same_weights else 'other weights'}"]
    for title, changes in (("card", diff.card), ("setting", diff.hyperparameters), ("cohort", diff.cohort)):
        lines += [f"  {title} {one.name}: {one.before} to {one.after}" for one in changes]
    named = {
        "findings gained": diff.findings_gained,
        "findings lost": diff.findings_lost,
        "calls gained": diff.called_gained,
        "calls lost": diff.called_lost,
        "calibrated anew": diff.recalibrated,
    }
    lines += [f"  {title}: {', '.join(keys)}" for title, keys in named.items() if keys]
    for one in diff.metrics:
        before, after = ("not estimable" if value is None else f"{value:.3f}" for value in (one.auc_before, one.auc_after))
        lines.append(
            f"  AUC {one.key}: {before} to {after}, on {one.positives_before or 0} and {one.positives_after or 0} positive studies"
        )
    if diff.metrics:
        lines.append("AUCs are those of each card, maybe on different studies: only the gate compares versions.")
    return "\n".join(lines)
