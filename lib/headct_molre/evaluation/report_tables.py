"""The tables of the HTML report; every text that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from ..findings import finding
from .comparison import Comparison
from .estimate import Estimate
from .evaluate import FindingEvaluation, Report
from .subgroups import SubgroupResult

Cell = tuple[str, float | str | None]


def number(estimate: Estimate, digits: int = 3, sign: str = "") -> Cell:
    """What a cell shows and what it sorts by: the value with its interval, or "not estimable" with the reason on hover."""
    if estimate.value is None:
        return f'<span class="none" title="{escape(estimate.reason or "")}">not estimable</span>', None
    shown = f"{estimate.value:{sign}.{digits}f}"
    if estimate.low is not None:
        shown += f' <span class="interval">{estimate.low:{sign}.{digits}f} to {estimate.high:{sign}.{digits}f}</span>'
    elif estimate.reason:
        shown = f'<span title="{escape(estimate.reason)}">{shown}</span>'
    return shown, estimate.value


def plain(value: float | None, digits: int = 3) -> Cell:
    """A number without an interval; a dash where there is none."""
    return ('<span class="none">not estimable</span>', None) if value is None else (f"{value:.{digits}f}", value)


def count(value: int | None) -> Cell:
    """A whole number."""
    return ('<span class="none">not estimable</span>', None) if value is None else (str(value), value)


def text(value: str) -> Cell:
    """A text that sorts by itself."""
    return escape(value), value.lower()


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], *, sortable: bool = False, caption: str = "") -> str:
    """A table whose first column is its row heads; `sortable` gives every head a button."""
    columns = "".join(f'<th scope="col">{f"<button>{head}</button>" if sortable else head}</th>' for head in heads)
    body = []
    for row in rows:
        cells = [f'<td data-value="{"" if key is None else escape(str(key))}">{shown}</td>' for shown, key in row]
        cells[0] = cells[0].replace("<td", '<th scope="row"', 1).removesuffix("</td>") + "</th>"
        body.append(f"<tr>{''.join(cells)}</tr>")
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="wide"><table{kind}>{said}<thead><tr>{columns}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def facts(report: Report) -> str:
    """One line on whose scores these are and what they were counted on."""
    cohort, model = report.cohort, report.model
    parts = [f"{cohort.studies} studies of {cohort.patients} patients"]
    if cohort.split is not None:
        parts.append(f"split {cohort.split}")
    if cohort.synthetic_studies:
        parts.append(f"{cohort.synthetic_studies} of them synthetic")
    if model.weights_sha256 is not None:
        parts.append(f"weights {model.weights_sha256[:12]}")
    return " &middot; ".join(escape(part) for part in [*parts, report.software, report.created[:10]])


def demo_notice(report: Report) -> str:
    """What has to be said before any number of a demo model or of synthetic studies."""
    notices = []
    if report.model.demo:
        notices.append("DEMO MODEL, trained on synthetic phantoms: its figures say nothing about patients.")
    if report.cohort.synthetic_studies:
        notices.append(f"SYNTHETIC STUDIES: {report.cohort.synthetic_studies} of {report.cohort.studies} are not scans of patients.")
    return "".join(f'<p class="demo">{notice}</p>' for notice in notices)


def key_figures(report: Report) -> str:
    """The figures that a reader looks for first."""
    summary = report.summary
    spread = "" if summary.sd_auc is None else f"SD over findings {summary.sd_auc:.3f}"
    shown = [
        ("Mean AUC", number(summary.macro_auc)[0], spread),
        ("AUC above 0.9", number(summary.above_090, 0)[0], f"of {summary.findings_estimable} estimable findings, by point"),
        ("Whole interval above 0.9", str(summary.above_090_by_lower_bound), "findings, by the lower bound"),
        ("Mean average precision", number(summary.mean_average_precision)[0], "equals the prevalence for a model without skill"),
        (
            "Estimable",
            f"{summary.findings_estimable} of {len(report.findings)}",
            f"findings with {report.settings.minimum_cases} studies of each kind",
        ),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd><small>{note}</small></div>" for name, value, note in shown)


def categories(report: Report) -> str:
    """Means by category."""
    rows = [
        [text(one.name), count(one.estimable), count(one.findings), number(one.macro_auc), plain(one.sd_auc)]
        for one in report.summary.categories
    ]
    return table(["Category", "Estimable", "Findings", "Mean AUC", "SD"], rows)


def findings_table(report: Report) -> str:
    """All findings with all metrics, sortable."""
    heads = ["Finding", "Category", "Present", "Assessed", "AUC", "Average precision", "Point", "Sensitivity", "Specificity", "PPV", "NPV"]
    site = any(one.operating.site_prevalence is not None for one in report.findings)
    heads += ["Site prevalence", "PPV at site", "NPV at site"] if site else []
    heads += ["ECE", "ECE, debiased", "Brier", "Brier skill", "Expected / observed"]
    return table(heads, (_finding_row(one, site) for one in report.findings), sortable=True)


def _finding_row(one: FindingEvaluation, site: bool) -> list[Cell]:
    operating, calibration = one.operating, one.calibration
    cells = [text(finding(one.key).display_name), text(one.category), count(one.positives), count(one.assessed), number(one.auc)]
    cells += [number(one.average_precision), _point(operating.operating_point)]
    cells += [number(value) for value in (operating.sensitivity, operating.specificity, operating.ppv, operating.npv)]
    if site:
        missing = Estimate(value=None, reason="no prevalence was given for this finding")
        cells += [_point(operating.site_prevalence), number(operating.site_ppv or missing), number(operating.site_npv or missing)]
    cells += [number(value, 4) for value in (calibration.ece, calibration.ece_debiased, calibration.brier)]
    return [*cells, number(calibration.brier_skill), number(calibration.expected_to_observed, 2)]


def _point(value: float | None) -> Cell:
    """A probability, which may be far below what fixed digits show."""
    return ('<span class="none">none</span>', None) if value is None else (f"{value:.3g}", value)


def subgroups(report: Report) -> str:
    """One table a dimension, with the findings of each group folded below it."""
    if not report.subgroups:
        return "<p>The manifest names no site, scanner, slice thickness, sex or age.</p>"
    heads = ["Group", "Studies", "Patients", "Findings compared", "Mean AUC here", "Mean AUC elsewhere", "Difference"]
    parts = []
    for dimension, members in groupby(report.subgroups, key=lambda one: one.dimension):
        groups = list(members)
        parts.append(table(heads, (_group_row(one) for one in groups), caption=dimension.capitalize()))
        names = [one.group for one in groups]
        rows = [
            [text(finding(first.key).display_name), *(cell for one in column for cell in (count(one.positives), number(one.auc)))]
            for column in zip(*(one.findings for one in groups), strict=True)
            for first in column[:1]
        ]
        columns = ["Finding", *(head for name in names for head in ("Present", f"AUC, {escape(name)}"))]
        parts.append(f"<details><summary>By finding: {escape(dimension)}</summary>{table(columns, rows, sortable=True)}</details>")
    return "".join(parts)


def _group_row(one: SubgroupResult) -> list[Cell]:
    counts = [count(one.studies), count(one.patients), count(one.findings_compared)]
    return [text(one.group), *counts, number(one.macro_auc), number(one.elsewhere), number(one.difference, sign="+")]


def comparison(report: Report, compared: Comparison) -> str:
    """The opening of the section on two models, up to its figure."""
    ours, theirs = escape(report.model.name), escape(compared.against)
    views = [
        [text("Mean AUC"), plain(compared.macro_auc), plain(compared.macro_auc_against), number(compared.macro_difference, sign="+")],
        [text("SD over findings"), plain(compared.sd_auc), plain(compared.sd_auc_against), ("", None)],
        [text("AUC above 0.9, by point"), count(compared.above_090), count(compared.above_090_against), ("", None)],
        [
            text("AUC above 0.9, by lower bound"),
            count(compared.above_090_by_lower_bound),
            count(compared.above_090_by_lower_bound_against),
            ("", None),
        ],
        *([text(one.name), plain(one.auc), plain(one.auc_against), number(one.difference, sign="+")] for one in compared.categories),
    ]
    rows = [
        [
            text(finding(one.key).display_name),
            count(one.positives),
            number(one.auc),
            number(one.auc_against),
            number(one.difference, sign="+"),
        ]
        + [_p(value) for value in (one.p, one.p_holm, one.q)]
        for one in compared.findings
    ]
    heads = ["Finding", "Present", ours, theirs, "Difference", "p", "p, Holm", "q"]
    return (
        f"<section><h2>{ours} against {theirs}</h2><p><strong>{escape(compared.non_inferiority.statement)}</strong></p>"
        f"<p>{compared.findings_compared} findings are estimable under both models. After Holm's adjustment {ours} is better in "
        f"{len(compared.better_by_holm)} and worse in {len(compared.worse_by_holm)}. p is DeLong's paired test; p, Holm is safe to claim "
        f"from; q (Benjamini and Hochberg) is for exploration.</p>{table(['', ours, theirs, 'Difference'], views)}"
        f"<details><summary>By finding</summary>{table(heads, rows, sortable=True)}</details>"
    )


def _p(value: float | None) -> Cell:
    if value is None:
        return '<span class="none" title="the rankings are the same">not estimable</span>', None
    return ("&lt; 0.0001" if value < 1e-4 else f"{value:.4f}"), value


def refused(report: Report) -> str:
    """Which studies are missing from every number above, and why."""
    if not report.cohort.refused:
        return "<p>No study was refused.</p>"
    rows = [[text(study), text(reason)] for study, reason in report.cohort.refused.items()]
    return f"<p>{len(rows)} studies were refused and count in no number.</p>" + table(["Study", "Reason"], rows)


def settings(report: Report) -> str:
    """What a second run needs to give the same numbers."""
    used = report.settings
    return (
        f"<p>Calibration and operating points: {escape(used.frozen)}. Bootstrap: {used.replicates} replicates of patients, "
        f"seed {used.seed}; a finding of which a replicate drew no positive or no negative is left out of that replicate's means "
        f"({report.summary.left_out:.2%} of findings and replicates here).</p>"
    )
