"""The report of an evaluation as files: `evaluation.json` for programs and `evaluation.html` for people."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from ..output import write_whole
from . import report_tables as tables
from .evaluate import Report, evaluate_cohort
from .plots import as_svg, dumbbell, forest, histogram, prevalence_scatter, radar, reliability_diagrams

__all__ = ["Report", "evaluate_cohort", "page_script", "report_page", "write_report"]

JSON_FILE, HTML_FILE = "evaluation.json", "evaluation.html"


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write both files into `folder`, which is made if need be, each whole or not at all; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / JSON_FILE, folder / HTML_FILE
    for path, text in zip(paths, (report.to_json(), report_page(report)), strict=True):
        write_whole(path, text.encode())
    return paths


def report_page(report: Report) -> str:
    """One HTML page that needs no other file and no network, in the light or dark colours of its reader, fit to print."""
    return fill_page(
        "headct_molre.evaluation",
        title=escape(_title(report)),
        facts=tables.facts(report),
        caution=escape(report.caution),
        demo=tables.demo_notice(report),
        key_figures=tables.key_figures(report),
        categories=tables.categories(report),
        radar=as_svg(radar(report), "Radar of the mean AUC by category"),
        forest=as_svg(forest(report), "Forest plot of the AUC of every finding"),
        histogram=as_svg(histogram(report), "Histogram of AUC over findings"),
        prevalence=as_svg(prevalence_scatter(report), "AUC against prevalence"),
        findings=tables.findings_table(report),
        reliability=as_svg(reliability_diagrams(report), "Reliability diagrams"),
        subgroups=tables.subgroups(report),
        comparison=_comparison(report),
        refused=tables.refused(report),
        settings=tables.settings(report),
    )


def fill_page(package: str, **parts: str) -> str:
    """The `report.html` of a package with its parts, and with the style and script that all reports share."""
    shared = {name: _part("headct_molre.evaluation", f"report.{suffix}") for name, suffix in (("style", "css"), ("script", "js"))}
    return Template(_part(package, "report.html")).substitute(shared | parts)


def page_script() -> str:
    """The one script of all such pages, exactly as it stands between its tags: what a server may let a browser run."""
    return "\n" + _part("headct_molre.evaluation", "report.js")


def _part(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")


def _title(report: Report) -> str:
    version = "" if report.model.version is None else f" {report.model.version}"
    return f"{report.model.name}{version} on {report.cohort.studies} studies"


def _comparison(report: Report) -> str:
    if report.comparison is None:
        return ""
    drawn = as_svg(dumbbell(report.model.name, report.comparison), "AUC of both models for every finding")
    return tables.comparison(report, report.comparison) + f"<figure>{drawn}</figure></section>"
