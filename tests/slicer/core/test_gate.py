"""The gate's report in plain words, from reports that the real gate writes."""

import json

import pytest

from headct_molre.training.gate import GatePolicy, judge
from HeadCTFindingsLib.core.errors import NotReadable
from HeadCTFindingsLib.core.gate import GateSummary
from simulated_versions import held_out_pair, version_card


def report(studies=600, gain=0.6, **policy):
    held_out = held_out_pair(studies, seed=3, gain=gain)
    judged = judge(held_out, None, version_card("2.0"), version_card("2.0-c41"), GatePolicy(replicates=0, **policy), created="2026-01-01")
    return json.loads(judged.to_json())


@pytest.fixture(scope="module")
def better():
    return report()


def test_a_better_candidate_is_said_to_be_so_by_how_much_and_on_how_many(better, catalogue):
    summary = GateSummary.from_json(better)
    assert (summary.outcome, summary.needs_reason) == ("promote", False)
    assert summary.headline == "2.0-c41 is better than 2.0."
    assert f"better by {summary.change:.3f}" in summary.how_much
    assert "on 600 held-out studies of 600 patients" in summary.how_much
    text = "\n".join(summary.lines(catalogue))
    assert "Research software, not a medical device." in text
    assert "demo model" in text


def test_where_there_was_no_data_is_counted(better, catalogue):
    summary = GateSummary.from_json(better)
    assert 0 < len(summary.silent) < 75
    assert f"No data to judge {len(summary.silent)} of 75 findings" in "\n".join(summary.lines(catalogue))
    silent = next(each for each in summary.findings if each.key == summary.silent[0])
    assert "no data to judge" in silent.text(catalogue)
    judged = next(each for each in summary.findings if each.change is not None)
    assert f"AUC {judged.change:+.3f}" in judged.text(catalogue)


def test_a_worse_candidate_is_rejected_and_its_losses_are_named(catalogue):
    summary = GateSummary.from_json(report(studies=1500, gain=-0.8))
    assert (summary.outcome, summary.needs_reason) == ("reject", True)
    assert "worse by" in summary.how_much
    assert summary.worse
    assert any(line.startswith("Worse: ") for line in summary.lines(catalogue))


def test_with_next_to_no_studies_nothing_is_compared():
    summary = GateSummary.from_json(report(studies=3, gain=0))
    assert summary.outcome == "hold"
    assert summary.how_much == "Nothing can be compared on 3 held-out studies of 3 patients."


def test_who_decides(better):
    assert not GateSummary.from_json(better).automatic
    assert GateSummary.from_json({**better, "policy": {**better["policy"], "decision": "automatic"}}).automatic


@pytest.mark.parametrize("damage", [{"schema": "headct.gate/2"}, {"corrections": None}, {"findings": [{}]}, {"reasons": 3}])
def test_another_document_is_refused(better, damage):
    with pytest.raises(NotReadable):
        GateSummary.from_json({**better, **damage})
    with pytest.raises(NotReadable):
        GateSummary.from_json(None)
