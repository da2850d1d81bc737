"""The commands on a study store: `headct-molre import | export | backup | restore | check-store`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from .data.cohort import ManifestProblem
    from .data.store import StudyStore
    from .data.transfer import ImportReport
    from .server.config import ServerConfig

MOST_PRINTED = 50


def add_store(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the five commands to the parser's commands."""
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--studies", type=Path, help="the studies folder of the server; its store is in there if --store does not say otherwise"
    )
    where.add_argument("--store", metavar="URL", help="sqlite:////folder/store.sqlite or postgresql://user@host/database")
    where.add_argument("--config", type=Path, metavar="FILE", help="the server's configuration, a TOML file")

    take = commands.add_parser("import", parents=[where], help="take labels into the store: a folder of MONAI Label, a CSV, JSON lines")
    take.add_argument(
        "path", type=Path, help="a folder with datastore_v2.json; a .csv with one row for each reading; a .jsonl of submissions"
    )
    take.add_argument("--reader", metavar="NAME", help="who read what names no reader")
    take.add_argument("--skip-bad", action="store_true", help="leave out rows that are wrong; nothing is imported otherwise")
    take.add_argument("--dry-run", action="store_true", help="say what would happen")
    take.add_argument("--json", action="store_true")
    take.set_defaults(run=_import)

    give = commands.add_parser("export", parents=[where], help="write the labels of all studies (.csv) or every submission whole (.jsonl)")
    give.add_argument("out", type=Path, help="a .csv, which is a manifest of a cohort, or a .jsonl, which can be imported")
    give.add_argument("--rule", help="how labels follow from several readers' calls, for a .csv; the server's setting if not given")
    give.add_argument(
        "--since", type=_time, metavar="TIME", help="only what was submitted from then on, as 2026-05-17 or 2026-05-17T14:30+02:00"
    )
    give.add_argument("--without-images", action="store_true", help="write studies whose images are not there, too, with an empty path")
    give.set_defaults(run=_export)

    backup = commands.add_parser("backup", parents=[where], help="write the whole store into one file, also while the server runs")
    backup.add_argument("out", type=Path, help="a .zip that does not exist yet")
    backup.add_argument("--without-predictions", action="store_true", help="leave out predictions, which can be made again")
    backup.add_argument("--with-models", action="store_true", help="add the model versions in HEADCT_MOLRE_HOME")
    backup.set_defaults(run=_backup)

    restore = commands.add_parser("restore", parents=[where], help="restore a backup into an empty store, of either database")
    restore.add_argument("archive", type=Path)
    restore.add_argument("--with-models", action="store_true", help="restore its model versions to HEADCT_MOLRE_HOME, too")
    restore.set_defaults(run=_restore)

    check = commands.add_parser("check-store", parents=[where], help="say what is wrong with a store; the status is 1 where something is")
    check.add_argument("--repair", action="store_true", help="compute counters again, which follow from the submissions")
    check.add_argument("--images", action="store_true", help="look for the images of every study, too")
    check.add_argument("--without-predictions", action="store_true", help="do not read the predictions, which takes longest")
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_check)


def _import(options: argparse.Namespace) -> int:
    from .data.transfer import InvalidLabels, import_csv, import_json_lines, import_monai_label

    kind = _kind(options.path, ("csv", "jsonl"), "path") if not options.path.is_dir() else "folder"
    with _store(options) as (config, store), _progress("imported") as done:
        try:
            if kind == "folder":
                report = import_monai_label(store, options.path, config.studies, reader=options.reader, dry_run=options.dry_run, done=done)
            elif kind == "csv":
                report = import_csv(
                    store, options.path, reader=options.reader, skip_bad=options.skip_bad, dry_run=options.dry_run, done=done
                )
            else:
                report = import_json_lines(store, options.path, skip_bad=options.skip_bad, dry_run=options.dry_run, done=done)
        except InvalidLabels as error:
            if options.json:
                problems = [problem.to_json() for problem in error.problems]
                print(json.dumps({"problem_count": error.total, "problems": problems}, indent=2, ensure_ascii=False))
            else:
                _print_problems(error.problems, error.total)
            raise
    if options.json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        _print_import(report)
    return 0


def _export(options: argparse.Namespace) -> int:
    from .data.transfer import export_csv, export_json_lines

    kind = _kind(options.out, ("csv", "jsonl"), "out")
    with _store(options, existing=True) as (config, store), _progress("exported") as done:
        if kind == "csv":
            rule = options.rule or config.label_rule
            database, absent = store.database, options.without_images
            exported = export_csv(database, options.out, config.studies, rule=rule, since=options.since, without_images=absent, done=done)
        else:
            exported = export_json_lines(store.database, options.out, since=options.since, done=done)
    print(f"{exported.written} {'studies' if kind == 'csv' else 'submissions'} written to {options.out}")
    if exported.without_images:
        print(f"  {exported.without_images} studies whose images are not there were left out; --without-images writes them, too")
    return 0


def _backup(options: argparse.Namespace) -> int:
    from .data.transfer import back_up
    from .models.locations import home

    models = home() if options.with_models else None
    with _progress("rows") as done:
        manifest = back_up(_config(options).store_url, options.out, predictions=not options.without_predictions, home=models, done=done)
    print(f"{options.out}: {_rows(manifest.rows())}, {len(manifest.model_files())} files of models (schema {manifest.revision})")
    print("Keep it as safe as the store: it says what readers said of which study, and holds hashes of tokens.")
    return 0


def _restore(options: argparse.Namespace) -> int:
    from .data.transfer import restore
    from .models.locations import home

    with _progress("rows") as done:
        manifest = restore(options.archive, _config(options).store_url, home=home() if options.with_models else None, done=done)
    print(f"Restored the store of {manifest.created}: {_rows(manifest.rows())}")
    if manifest.model_files() and not options.with_models:
        print(f"  {len(manifest.model_files())} files of models were not restored; --with-models does")
    return 0


def _check(options: argparse.Namespace) -> int:
    from .data.transfer import check_store
    from .data.transfer.snapshot import existing_store

    config = _config(options)
    database = existing_store(config.store_url)
    studies = config.studies if options.images else None
    try:
        with _progress("records") as done:
            report = check_store(database, studies=studies, predictions=not options.without_predictions, repair=options.repair, done=done)
    finally:
        database.close()
    if options.json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False))
    else:
        for each in report.found:
            print(f"  {each}")
        if options.repair:
            print(f"  {report.repaired} studies repaired")
        print(f"{'The store is consistent' if report.consistent else 'The store is NOT consistent'}: {_rows(report.counts)}")
    return 0 if report.consistent else 1


@contextmanager
def _store(options: argparse.Namespace, existing: bool = False) -> Iterator[tuple[ServerConfig, StudyStore]]:
    """The store with its configuration; a dry run on one that does not exist makes none."""
    from .data.store import StudyStore, sqlite_url
    from .data.transfer.snapshot import existing_store

    config = _config(options)
    url = config.store_url
    with tempfile.TemporaryDirectory() as folder:
        try:
            existing_store(url).close()
        except NotFound:
            if existing:
                raise
            if options.dry_run:
                url = sqlite_url(Path(folder) / "store.sqlite")
        store = StudyStore(url, config.readers_per_study)
        try:
            yield config, store
        finally:
            store.close()


def _config(options: argparse.Namespace) -> ServerConfig:
    from .server.config import load_server_config

    return load_server_config({"studies": options.studies, "store": options.store}, file=options.config)


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=None) as bar:
        yield bar.update


def _kind(path: Path, kinds: tuple[str, ...], field: str) -> str:
    kind = path.suffix.lower().removeprefix(".")
    if kind not in kinds:
        raise InvalidRequest("invalid_argument", f"{path} is neither a .{' nor a .'.join(kinds)} file.", field=field)
    return kind


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-05-17 or 2026-05-17T14:30+02:00") from None


def _print_import(report: ImportReport) -> None:
    would = "would be " if report.dry_run else ""
    if report.images:
        print("images: " + ", ".join(f"{number} {how}" for how, number in sorted(report.images.items())))
    print(f"{report.stored} submissions {would}stored, {report.already} were there already")
    for note in report.notes:
        print(f"  {note}")
    for reason, words in (("nothing_assessed", "rows assess no finding"), ("wrong", "rows are wrong and were left out")):
        if report.skipped[reason]:
            print(f"  {report.skipped[reason]} {words}")
    if report.studies_without_images:
        print(f"  {report.studies_without_images} studies have no images here (yet); look for misspelt ids if that is a surprise")
    _print_problems(report.problems.kept, report.problems.total)


def _print_problems(kept: Sequence[ManifestProblem], total: int) -> None:
    for problem in kept[:MOST_PRINTED]:
        print(f"  {problem}")
    if total > MOST_PRINTED:
        print(f"  and {total - MOST_PRINTED} more; --json lists the first 1000")


def _rows(rows: dict[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in rows.items())
