"""The gate's report as files: the headings of a change control plan, complete, offline, legible."""

import json
import re
from html.parser import HTMLParser
from typing import ClassVar

import pytest

from headct_molre.findings import findings
from headct_molre.training.gate import GatePolicy, HeldOut, judge
from headct_molre.training.gate.report import gate_page, write_gate_report
from simulated_versions import KEYS, held_out_pair, version_card


@pytest.fixture(scope="module")
def report():
    before = version_card("1", hyperparameters={"seed": 0})
    after = version_card(
        "2",
        parent="1",
        hyperparameters={"seed": 1, "l2_sp": 100.0},
        operating_points=dict.fromkeys(KEYS[1:], 0.5),
        description="learned <from> corrections",
    )
    held = held_out_pair(120, seed=1, gain=0.5, readers=2)
    readers = held.readers.astype("<U20")
    readers[readers == "reader-1"] = "<script>"
    held = HeldOut(held.truth, held.champion, held.candidate, held.patients, readers)
    return judge(held, held_out_pair(200, seed=2, gain=0.3), before, after, GatePolicy(replicates=40))


@pytest.fixture(scope="module")
def page(report):
    return gate_page(report)


def test_both_files_are_written_whole(report, tmp_path):
    paths = write_gate_report(report, tmp_path / "new" / "folder")
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["gate.html", "gate.json"]
    written = json.loads(paths[0].read_text(encoding="utf-8"))
    assert written["schema"] == "headct.gate/1"
    assert "NaN" not in paths[0].read_text(encoding="utf-8")


def test_the_headings_are_those_of_a_change_control_plan(page):
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Description of Modifications", "Modification Protocol", "Impact Assessment"]


def test_every_element_is_closed_in_its_order(page):
    class Page(HTMLParser):
        open: ClassVar[list[str]] = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "path", "use"):
                self.open.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            if tag not in ("meta", "path", "use"):
                assert self.open.pop() == tag

    parsed = Page()
    parsed.feed(page)
    assert parsed.open == []


def test_the_page_needs_no_network(page):
    assert not re.search(r"(src|href|srcset|action)=['\"](?!#)", page)
    assert "@import" not in page
    assert not re.search(r"fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/)", page)


def test_nothing_is_left_unfilled_and_nothing_foreign_becomes_markup(page):
    assert not re.search(r"\$[a-z]", page)
    assert "&lt;script&gt;" in page
    assert page.count("<script>") == 1
    assert "learned &lt;from&gt; corrections" in page


def test_outcome_reasons_and_summary_are_on_the_page(report, page):
    assert report.outcome == "hold"
    assert "<h1>Hold: demo 2 against 1</h1>" in page
    for sentence in report.summary:
        assert sentence.replace("'", "&#x27;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert all(f"<small>{reason.code}</small>" in page for reason in report.reasons)
    assert "Research software, not a medical device" in page
    assert "DEMO MODEL" in page


def test_what_was_modified_is_named(page):
    assert ">l2_sp<" in page
    assert ">100.0<" in page
    assert "No call is made any more of" in page


def test_the_protocol_states_the_policy(report, page):
    for value in (report.policy.alpha, report.policy.margin_source, report.policy.minimum_studies, report.policy.common_positives):
        assert f"{value:g}" in page
    assert "A person with the right to do so decides" in page


def test_every_finding_has_its_row(page):
    for one in findings():
        assert one.display_name.replace("&", "&amp;") in page
    assert page.count("no data to judge<") == sum(1 for _ in re.finditer(">no data to judge<", page)) > 10


def test_a_report_on_nothing_can_be_shown():
    empty = judge(held_out_pair(0), None, version_card("1"), version_card("2"), GatePolicy(replicates=0))
    page = gate_page(empty)
    assert "Too few: 0 held-out studies" in page
    assert "There is no source set" in page
