"""The command `headct-molre evaluate`: scores of a cohort in, `evaluation.json` and `evaluation.html` out."""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidRequest
from .findings import finding_keys

if TYPE_CHECKING:
    from .evaluation.evaluate import Report


def add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `evaluate`."""
    evaluate = commands.add_parser("evaluate", help="judge a model or its scores on a cohort: JSON and an HTML report with plots")
    evaluate.add_argument("manifest", type=Path, help="the cohort: a CSV with study, path, patient, split and a column for each finding")
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--scores", type=Path, metavar="FILE", help="CSV of raw logits: study and a column for each finding")
    source.add_argument("--model", metavar="NAME", help="score the studies with this model; its calibration and operating points apply")
    evaluate.add_argument(
        "--validation-scores",
        type=Path,
        metavar="FILE",
        help="with --scores: fit calibration and operating points on the manifest's validation split",
    )
    evaluate.add_argument("--against", type=Path, metavar="FILE", help="scores of another model on the same studies, to compare with")
    evaluate.add_argument("--split", default="test", help="which studies to evaluate; all for every study")
    evaluate.add_argument("--points", metavar="RULE", help="youden (the rule if not given), sensitivity=0.95 or specificity=0.9")
    evaluate.add_argument(
        "--prevalence", metavar="SITE", help="your site's prevalence, for PPV and NPV: KEY=VALUE,... or a CSV of finding,prevalence"
    )
    evaluate.add_argument("--margin", type=float, default=0.01, help="non-inferiority margin of the mean AUC, with --against")
    evaluate.add_argument("--replicates", type=int, default=1000, help="bootstrap replicates of patients")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--device", help="with --model: cpu, cuda or cuda:0; chosen by itself if not given")
    evaluate.add_argument("--workers", type=int, default=2, help="with --model: processes that prepare studies")
    evaluate.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of evaluation.json and evaluation.html")
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """Evaluate and print the summary; returns the exit status."""
    _check(options)
    prevalence = {} if options.prevalence is None else read_prevalence(options.prevalence)
    from .data.cohort import read_manifest
    from .evaluation.frozen import fit_frozen, frozen_of_card
    from .evaluation.report import evaluate_cohort, write_report
    from .evaluation.scores import read_scores

    manifest = read_manifest(options.manifest, check_files=options.model is not None)  # scores need no images
    split = None if options.split == "all" else options.split
    cohort = manifest if split is None else manifest.part(split)
    card, frozen = None, None
    refused: dict[str, str] = {}
    if options.model is not None:
        from .training.scoring import score_model

        scores, card, refused = score_model(cohort, options.model, device=options.device, workers=options.workers)
        frozen = frozen_of_card(card)
    else:
        scores = read_scores(options.scores)
        if options.validation_scores is not None:
            frozen = fit_frozen(manifest.part("validation"), read_scores(options.validation_scores), options.points or "youden")
    report = evaluate_cohort(
        cohort,
        scores,
        card,
        name=options.model or options.scores.stem,
        frozen=frozen,
        against=None if options.against is None else read_scores(options.against),
        against_name="" if options.against is None else options.against.stem,
        split=split,
        refused=refused,
        prevalence=prevalence,
        replicates=options.replicates,
        seed=options.seed,
        margin=options.margin,
    )
    _print(report, write_report(report, options.out)[1])
    return 0


def read_prevalence(given: str) -> dict[str, float]:
    """A site's prevalence by finding, from `KEY=VALUE,...` or a CSV of `finding,prevalence`.

    Raises InvalidRequest that names an unknown finding or what is not between 0 and 1.
    """
    path = Path(given)
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            pairs = [(row.get("finding") or "", row.get("prevalence") or "") for row in csv.DictReader(file)]
    else:
        pairs = [(key.strip(), value) for key, _, value in (part.partition("=") for part in given.split(","))]
    result = {}
    for key, value in pairs:
        if key not in finding_keys():
            raise InvalidRequest("unknown_finding", f"--prevalence: there is no finding {key!r}; use the keys of the taxonomy.", field=key)
        try:
            result[key] = float(value)
        except ValueError:
            result[key] = math.nan
        if not 0 < result[key] < 1:
            raise InvalidRequest("invalid_prevalence", f"--prevalence {key}: {value!r} is not between 0 and 1.", field="prevalence")
    return result


def _check(options: argparse.Namespace) -> None:
    """Refuse what does not go together, before any work."""
    from .evaluation.operating_points import parse_rule

    if options.validation_scores is not None and options.model is not None:
        raise InvalidRequest(
            "invalid_argument", "--validation-scores goes with --scores; a model's calibration is frozen.", field="validation-scores"
        )
    if options.points is not None:
        if options.validation_scores is None:
            raise InvalidRequest("invalid_argument", "--points needs --validation-scores to choose the points on.", field="points")
        parse_rule(options.points)
    if options.replicates < 0:
        raise InvalidRequest("invalid_argument", f"--replicates {options.replicates} is below 0.", field="replicates")
    if not 0 < options.margin < 1:
        raise InvalidRequest("invalid_argument", f"--margin {options.margin} is not between 0 and 1.", field="margin")
    if options.out.exists() and not options.out.is_dir():
        raise InvalidRequest("invalid_argument", f"--out {options.out} is not a folder.", field="out")


def _print(report: Report, page: Path) -> None:
    summary, cohort = report.summary, report.cohort
    print(f"{report.model.name}: {cohort.studies} studies of {cohort.patients} patients")
    if report.model.demo:
        print("DEMO MODEL, trained on synthetic phantoms: its figures say nothing about patients.")
    if cohort.synthetic_studies:
        print(f"  {cohort.synthetic_studies} of the studies are synthetic: the figures say nothing about patients")
    if cohort.refused:
        print(f"  {len(cohort.refused)} studies were refused and count in no number")
    print(f"  {summary.findings_estimable} of {len(report.findings)} findings are estimable")
    macro = summary.macro_auc
    if macro.value is not None:
        interval = "" if macro.low is None else f", 95 % interval {macro.low:.3f} to {macro.high:.3f}"
        spread = "" if summary.sd_auc is None else f", SD over findings {summary.sd_auc:.3f}"
        print(f"  mean AUC {macro.value:.3f}{interval}{spread}")
        print(f"  AUC above 0.9: {summary.above_090.value:.0f} by point, {summary.above_090_by_lower_bound} by lower bound")
    if report.comparison is not None:
        print(f"  {report.comparison.non_inferiority.statement}")
        better, worse = len(report.comparison.better_by_holm), len(report.comparison.worse_by_holm)
        print(f"  against {report.comparison.against}, after Holm: better in {better} findings, worse in {worse}")
    print(f"  {page}")
    print("Research software, not a medical device.")
