"""The commands `headct-molre cohort check | split | stats`."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidRequest
from .output import check_output, write_whole

if TYPE_CHECKING:
    from .data.cohort import Cohort, ManifestProblem
    from .data.cohort.problems import Problems

MOST_PRINTED = 50


def add_cohort(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `cohort` with its three commands to the parser's commands."""
    cohort = commands.add_parser("cohort", help="check, split and describe a manifest of studies and their findings")
    parts = cohort.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("manifest", type=Path, help="a .csv or .parquet file with one study in a row (docs/cohort.md)")
    common.add_argument("--patients-are-studies", action="store_true", help="without a column patient, each study is a patient of its own")

    check = parts.add_parser("check", parents=[common], help="say all that is wrong with a manifest, by row and column")
    check.add_argument("--deep", action="store_true", help="read every study, too, and fill the cache of prepared studies")
    check.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of --deep; as many as processors if not given")
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=_check)

    split = parts.add_parser("split", parents=[common], help="give every study a split: patients together, findings alike")
    split.add_argument("--out", type=Path, required=True, help="write the manifest with its splits here (.csv or .parquet)")
    split.add_argument("--fractions", type=float, nargs=3, default=(0.8, 0.1, 0.1), metavar=("TRAIN", "VALIDATION", "TEST"))
    split.add_argument("--seed", type=int, default=0)
    split.add_argument("--by-site", action="store_true", help="give each split its share of each site, too")
    split.add_argument("--hold-out-site", metavar="SITE", help="test is this site, whole, and nothing else")
    split.add_argument("--redo", action="store_true", help="forget the splits that are there; they are kept otherwise")
    split.set_defaults(run=_split)

    stats = parts.add_parser("stats", parents=[common], help="count studies, patients and findings; draw prevalences")
    stats.add_argument("--png", type=Path, help="write the picture of all prevalences here")
    stats.add_argument("--json", type=Path, help="write all numbers here, also by site, scanner, sex and age; - for standard output")
    stats.set_defaults(run=_stats)


def _check(options: argparse.Namespace) -> int:
    from .data.cohort import InvalidManifest, manifest_warnings, read_manifest
    from .data.cohort.problems import Problems, count

    report: dict[str, object] = {"manifest": str(options.manifest)}
    try:
        cohort = read_manifest(options.manifest, patients_are_studies=options.patients_are_studies)
    except InvalidManifest as error:
        report |= {"valid": False, "problem_count": error.total, "problems": [problem.to_json() for problem in error.problems]}
        _print_report(report, options.json, error.problems, error.total)
        raise _refusal(options.manifest, error.total) from None
    warnings = manifest_warnings(cohort)
    images = _deep(cohort, options.workers) if options.deep else Problems()
    patients = len(set(cohort.patients))
    report |= {"valid": not images.total, "studies": len(cohort), "patients": patients, "deep": options.deep}
    report |= {"problem_count": images.total, "problems": [problem.to_json() for problem in images.kept]}
    report |= {"warnings": [warning.to_json() for warning in warnings]}
    _print_report(report, options.json, images.kept, images.total)
    if not options.json:
        _print_warnings(warnings, cohort)
        read = "every study was read" if options.deep else "the images were not opened; --deep reads them"
        print(f"{options.manifest.name}: {count(len(cohort), 'study')} of {count(patients, 'patient')}; {read}")
    if images.total:
        raise _refusal(options.manifest, images.total)
    return 0


def _deep(cohort: Cohort, workers: int) -> Problems:
    from tqdm import tqdm

    from .data.cache_folder import cache_folder, cache_limit_bytes
    from .data.cohort.deep import check_images
    from .data.prepared_cache import PreparedCache

    cache = PreparedCache(cache_folder() / "prepared", cache_limit_bytes())
    with tqdm(total=len(cohort), desc="studies", unit="study", disable=None) as bar:
        return check_images(cohort, workers, cache, bar.update)


def _print_report(report: dict[str, object], as_json: bool, problems: Sequence[ManifestProblem], total: int) -> None:
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
        return
    for problem in problems[:MOST_PRINTED]:
        print(f"  {problem}")
    if total > MOST_PRINTED:
        print(f"  and {total - MOST_PRINTED} more; --json lists the first 1000")


def _print_warnings(warnings: Sequence[ManifestProblem], cohort: Cohort) -> None:
    """A line for each warning, and one paragraph of all rare findings."""
    from .data.cohort.remarks import FEWEST_POSITIVES, RARE, rare_findings

    others = [warning for warning in warnings if warning.code != RARE]
    for warning in others[:MOST_PRINTED]:
        print(f"  warning: {warning}")
    if len(others) > MOST_PRINTED:
        print(f"  and {len(others) - MOST_PRINTED} more warnings, which --json lists")
    if rare := rare_findings(cohort):
        splits = ", ".join(next(iter(rare.values())))
        print(f"  warning: {len(rare)} findings with fewer than {FEWEST_POSITIVES} positives in {splits} [{RARE}]:")
        text = ", ".join(f"{key} {'+'.join(map(str, positives.values()))}" for key, positives in rare.items())
        print(textwrap.fill(text, 120, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))


def _refusal(manifest: Path, total: int) -> InvalidRequest:
    from .data.cohort.problems import count

    return InvalidRequest(
        "invalid_manifest", f"{manifest.name} has {count(total, 'problem')}, listed on standard output.", field="manifest"
    )


def _split(options: argparse.Namespace) -> int:
    from .data.cohort import read_manifest, split_cohort, write_manifest
    from .data.cohort.report import split_report

    check_output(options.out, "out")
    cohort = read_manifest(options.manifest, patients_are_studies=options.patients_are_studies, check_files=False)
    split = split_cohort(
        cohort, options.fractions, options.seed, by_site=options.by_site, hold_out_site=options.hold_out_site, redo=options.redo
    )
    write_manifest(split, options.out)
    print(split_report(split))
    print(f"written to {options.out}")
    return 0


def _stats(options: argparse.Namespace) -> int:
    from .data.cohort import read_manifest
    from .data.cohort.plot import prevalence_picture
    from .data.cohort.report import stats_report
    from .data.cohort.stats import cohort_stats

    for option, path in (("png", options.png), ("json", options.json)):
        if path is not None and str(path) != "-":
            check_output(path, option)
    cohort = read_manifest(options.manifest, patients_are_studies=options.patients_are_studies, check_files=False)
    stats = cohort_stats(cohort)
    text = json.dumps(stats.to_json(), indent=1, allow_nan=False, ensure_ascii=False)
    if options.png is not None:
        write_whole(options.png, prevalence_picture(stats, f"Prevalence of 75 findings: {options.manifest.name}"))
    if str(options.json) == "-":
        print(text)
        return 0
    if options.json is not None:
        write_whole(options.json, text.encode())
    print(stats_report(stats))
    return 0
