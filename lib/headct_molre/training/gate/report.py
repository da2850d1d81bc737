"""The gate's report as files: `gate.json` for programs and `gate.html` for people.

Its headings are those of a predetermined change control plan (FDA guidance of December 2024), so that it can go into one as it is.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from ...evaluation.plots import as_svg, dumbbell
from ...evaluation.report import fill_page
from ...evaluation.report_tables import Cell, count, number, plain, table, text
from ...findings import finding
from ...models.version_diff import Change
from ...output import write_whole
from .document import Difference, GateReport

JSON_FILE, HTML_FILE = "gate.json", "gate.html"
OUTCOMES = {"promote": "Promote", "hold": "Hold", "reject": "Reject"}
VERDICTS = {
    "not_inferior": "not inferior",
    "worse": "worse",
    "not_shown": "a loss is not excluded",
    "mean_only": "counts in the mean only",
    "no_data": "no data to judge",
}
NONE: Cell = ('<span class="none">none</span>', None)


def write_gate_report(report: GateReport, folder: Path) -> tuple[Path, Path]:
    """Write both files into `folder`, which is made if need be, each whole or not at all; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / JSON_FILE, folder / HTML_FILE
    for path, content in zip(paths, (report.to_json(), gate_page(report)), strict=True):
        write_whole(path, content.encode())
    return paths


def gate_page(report: GateReport) -> str:
    """One HTML page that needs no other file and no network, in the light or dark colours of its reader, fit to print."""
    candidate = f"{report.model} {report.candidate.version}"
    return fill_page(
        "headct_molre.training.gate",
        title=escape(f"{OUTCOMES[report.outcome]}: {candidate} against {report.champion.version}"),
        facts=_facts(report),
        demo='<p class="demo">DEMO MODEL, trained on synthetic phantoms: its figures say nothing about patients.</p>'
        if report.candidate.demo
        else "",
        caution=escape(report.caution),
        key_figures=_key_figures(report),
        summary="".join(f"<li>{escape(sentence)}</li>" for sentence in report.summary),
        modifications=_modifications(report),
        protocol=_protocol(report),
        reasons="<ul>" + "".join(f"<li>{escape(one.sentence)} <small>{one.code}</small></li>" for one in report.reasons) + "</ul>",
        differences=_differences(report),
        calibration=_calibration(report),
        labels=_labels(report),
        dumbbell=as_svg(dumbbell(candidate, report.comparison), "AUC of candidate and champion for every finding"),
        findings=_findings(report),
    )


def _facts(report: GateReport) -> str:
    sample = report.corrections
    parts = [f"{sample.studies} held-out studies of {sample.patients} patients", f"{sample.labels} labels"]
    parts += [f"weights {report.candidate.weights_sha256[:12]} against {report.champion.weights_sha256[:12]}"]
    return " &middot; ".join(escape(part) for part in [*parts, report.software, report.created[:10]])


def _key_figures(report: GateReport) -> str:
    difference, silent = report.corrections.difference, sum(one.verdict == "no_data" for one in report.findings)
    shown = [
        ("Outcome", OUTCOMES[report.outcome], "automatic" if report.policy.decision == "automatic" else "a person decides"),
        ("Change of mean AUC", _interval(difference)[0], f"over {difference.findings} findings, held-out corrections"),
        ("Smallest detectable", plain(difference.smallest_detectable)[0], f"change, with {100 * report.policy.power:.0f} % power"),
        ("No data to judge", f"{silent} of {len(report.findings)}", "findings"),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd><small>{note}</small></div>" for name, value, note in shown)


def _modifications(report: GateReport) -> str:
    diff = report.modifications
    came_from = f" It was trained from {escape(diff.parent)}." if diff.parent else ""
    weights = "The weights are the same." if diff.same_weights else "The weights were trained anew."
    changes = [("card", diff.card), ("setting", diff.hyperparameters), ("cohort", diff.cohort)]
    rows = [[text(kind), text(one.name), _value(one, "before"), _value(one, "after")] for kind, group in changes for one in group]
    findings = {"Calls are made in addition of": diff.called_gained, "No call is made any more of": diff.called_lost}
    named = "".join(f"<p>{said}: {escape(', '.join(_names(keys)))}.</p>" for said, keys in findings.items() if keys)
    return (
        f"<p>Version {escape(diff.after)} of {escape(diff.model)} is to take the place of {escape(diff.before)}.{came_from} {weights} "
        f"Calibration differs in {len(diff.recalibrated)} findings.</p>{named}"
        + (table(["", "Entry", "Before", "After"], rows) if rows else "<p>The cards state no other difference.</p>")
    )


def _protocol(report: GateReport) -> str:
    policy = report.policy
    rules = [
        f"Judged on corrections that were drawn at random, without regard to any score, and that no version learned from; at "
        f"least {policy.minimum_studies} studies. Uncertain and not assessed are left out.",
        f"A finding can be judged with at least {policy.minimum_cases} studies with and {policy.minimum_cases} without it, and counts "
        f"in the mean; {policy.minimum_findings} such findings are needed. With {policy.common_positives} of either kind it is judged by "
        "itself.",
        f"Promoted only if the mean AUC is higher (one-sided, alpha {policy.alpha:g}); the mean over common findings does not lose "
        f"{policy.margin_common_mean:g}; no common finding is worse by more than {policy.margin_common:g} (Holm); on the source set the "
        f"mean AUC does not lose {policy.margin_source:g}.",
        f"Calibration may not grow worse by more than {policy.margin_ece:g} (ECE), {policy.margin_brier:g} (Brier score) and "
        f"{policy.margin_in_the_large:g} (in the large), means over findings.",
        "Rejected if it is worse on the corrections, on a common finding or on the source set, or if the labels contradict the champion "
        "even where it is sure. Held in all other cases: the champion goes on serving.",
        "What the gate says to promote is promoted at once."
        if policy.decision == "automatic"
        else "A person with the right to do so decides; the gate advises.",
        "A promotion can be taken back at any time: the former version is kept unchanged.",
    ]
    return "<ul>" + "".join(f"<li>{escape(rule)}</li>" for rule in rules) + "</ul>"


def _differences(report: GateReport) -> str:
    shown = [("Held-out corrections", report.corrections.studies, report.corrections.difference)]
    shown.append(("of these, common findings", report.corrections.studies, report.common))
    if report.source is not None:
        shown.append(("Source set", report.source.studies, report.source.difference))
    rows = [
        [
            text(name),
            count(studies),
            count(one.findings),
            plain(one.champion_auc),
            plain(one.candidate_auc),
            _interval(one),
            plain(one.smallest_detectable),
        ]
        for name, studies, one in shown
    ]
    interval = f"Change, {100 * (1 - 2 * report.policy.alpha):.0f} % interval"
    missing = "" if report.source is not None else "<p>There is no source set: a loss elsewhere was not tested.</p>"
    bootstrap = number(report.comparison.macro_difference, sign="+")[0]
    return (
        table(["", "Studies", "Findings", "Champion", "Candidate", interval, "Smallest detectable"], rows)
        + missing
        + f"<p>Beside it, from resampling patients {report.policy.replicates} times, 95 % interval: {bootstrap}.</p>"
    )


def _calibration(report: GateReport) -> str:
    judged = report.calibration
    if judged.reason:
        return f"<p>Not judged: {escape(judged.reason)}.</p>"
    rows = [
        [text(one.name), plain(one.champion), plain(one.candidate), plain(one.margin), text("worse" if one.worse else "not worse")]
        for one in judged.measures
    ]
    return f"<p>Means over {judged.findings} findings.</p>" + table(["", "Champion", "Candidate", "Margin", ""], rows)


def _labels(report: GateReport) -> str:
    labels = report.labels
    readers = "".join(f"<li>{escape(one.sentence)}</li>" for one in labels.readers)
    contradicted = f"<p>Ranked worse than chance: {escape(', '.join(_names(labels.contradicted)))}.</p>" if labels.contradicted else ""
    return (
        f"<p>Mean AUC of the champion against them: {number(labels.champion_auc)[0]}. Of its confident calls they confirm "
        f"{labels.present_confirmed} of {labels.present_calls} that a finding is present and {labels.absent_confirmed} of "
        f"{labels.absent_calls} that it is absent.</p>{contradicted}<ul>{readers}</ul>"
    )


def _findings(report: GateReport) -> str:
    rows = [
        [
            text(finding(one.key).display_name),
            text(VERDICTS[one.verdict]),
            count(one.positives),
            count(one.negatives),
            _signed(one.difference),
            plain(one.smallest_detectable),
        ]
        for one in report.findings
    ]
    return table(["Finding", "Verdict", "Present", "Absent", "Change of AUC", "Smallest detectable"], rows, sortable=True)


def _interval(one: Difference) -> Cell:
    if one.value is None:
        return f'<span class="none" title="{escape(one.reason or "")}">no data</span>', None
    return f'{one.value:+.3f} <span class="interval">{one.low:+.3f} to {one.high:+.3f}</span>', one.value


def _signed(value: float | None) -> Cell:
    return NONE if value is None else (f"{value:+.3f}", value)


def _value(change: Change, side: str) -> Cell:
    value = getattr(change, side)
    if value is None:
        return NONE
    return text(", ".join(value) if isinstance(value, list) else str(value))


def _names(keys: list[str]) -> list[str]:
    return [finding(key).display_name for key in keys]
