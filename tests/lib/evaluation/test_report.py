"""The report as files: complete, offline, legible by anyone, with every plot for every cohort."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from headct_molre.data.cohort import Cohort
from headct_molre.evaluation.frozen import fit_frozen
from headct_molre.evaluation.plots import as_png, forest, histogram, prevalence_scatter, radar, reliability_diagrams
from headct_molre.evaluation.report import evaluate_cohort, report_page, write_report
from headct_molre.findings import findings
from headct_molre.models.checkpoint import load_card
from simulated_cohort import simulated


class Page(HTMLParser):
    """Tags, attributes and whether they are closed in order."""

    VOID = ("meta", "br", "hr", "img", "path", "use", "rect", "link", "circle", "line")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report():
    cohort, scores, other = simulated(450, seed=8)
    frozen = fit_frozen(cohort.part("validation"), scores)
    return evaluate_cohort(cohort.part("test"), scores, name="<molre>", frozen=frozen, against=other, against_name="a & $b$", replicates=60)


@pytest.fixture(scope="module")
def page(report):
    return report_page(report)


def test_both_files_are_written_whole(report, tmp_path):
    paths = write_report(report, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["evaluation.json", "evaluation.html"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["evaluation.html", "evaluation.json"]


def test_the_page_needs_no_network(page):
    parsed = Page(page)
    assert parsed.open == []
    loads = [value for _, name, value in parsed.attributes if name in ("src", "href", "xlink:href", "srcset", "data", "action")]
    assert all(value.startswith("#") for value in loads)
    assert not {"link", "iframe", "img", "object", "embed"} & set(parsed.tags)
    assert "@import" not in page
    assert not re.search(r"url\((?!['\"]?#)", page)
    assert not re.search(r"fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/)", page)


def test_every_finding_is_named_with_its_positives(report, page):
    for one, meant in zip(report.findings, findings(), strict=True):
        name = meant.display_name.replace("&", "&amp;")
        assert page.count(name) >= 2
        assert f">{one.positives} / {one.assessed}<" in page


def test_the_page_says_what_it_is_and_explains_its_numbers(page):
    assert "not a medical device" in page
    assert "SYNTHETIC STUDIES: 300 of 300" in page
    for term in ("AUC", "Interval", "Not estimable", "Average precision", "ECE, Brier", "Mean AUC"):
        assert f"<dt>{term}" in page


def test_names_are_escaped(page):
    assert "<molre>" not in page
    assert "&lt;molre&gt;" in page
    assert "a &amp; $b$" in page  # neither HTML, nor a field of the template, nor mathematics in a legend
    assert len(re.findall(r"\$[a-z]+", page)) == page.count("a &amp; $b$")


def test_colours_are_the_pages_own_and_it_prints(page):
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "var(--ink)" in page[page.index("<svg") :]


def test_the_table_of_findings_is_sortable(page):
    table = page[page.index('<table class="sortable">') :]
    table = table[: table.index("</table>")]
    assert table.count("<tr>") == 76
    assert len(re.findall(r"<th scope=\"col\"><button>", table)) == len(re.findall(r"<t[hd] ", table.split("</tr>")[1]))
    assert "addEventListener" in page


def test_a_demo_is_marked():
    cohort, scores, _ = simulated(60, seed=1)
    assert "DEMO MODEL" in report_page(evaluate_cohort(cohort, scores, load_card("demo"), replicates=0))


@pytest.mark.parametrize("studies", [1, 40])
def test_a_cohort_that_says_little_still_makes_a_page(studies):
    cohort, scores, other = simulated(studies, seed=1)
    blank = Cohort(tuple(replace(study, synthetic=False, sex=None) for study in cohort.studies), np.ones_like(cohort.states))
    report = evaluate_cohort(blank, scores, against=other, refused={"x": "no head"}, replicates=5)
    page = report_page(report)
    assert "not estimable" in page
    assert "no head" in page
    assert "SYNTHETIC" not in page


@pytest.mark.parametrize("draw", [forest, radar, histogram, prevalence_scatter, reliability_diagrams])
def test_plots_are_pictures(report, draw):
    assert as_png(draw(report), dpi=40).startswith(b"\x89PNG")
